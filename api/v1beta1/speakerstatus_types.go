package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpeakerStatus is what the speaker of one node says of itself. Its name is the
// name of the node. The other speakers read it to know on which network
// interfaces that node could announce.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=speakerstatuses,singular=speakerstatus,shortName=spk,categories=fairlead
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Interfaces",type=string,JSONPath=`.status.interfaces[*].name`
// +kubebuilder:printcolumn:name="Announcing",type=integer,JSONPath=`.status.announcedAddresses`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SpeakerStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Written by the node's speaker.
	// +optional
	Status SpeakerStatusStatus `json:"status,omitempty,omitzero"`
}

// SpeakerStatusStatus is what a speaker reports of its node.
type SpeakerStatusStatus struct {
	// The network interfaces on which the node can announce: Ethernet, up, with
	// a carrier, and not part of a bond or bridge.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Interfaces []SpeakerInterface `json:"interfaces,omitempty"`

	// How many addresses this node announces now.
	// +optional
	AnnouncedAddresses int32 `json:"announcedAddresses"`

	// Ready: whether the speaker announces all that it should. StrictARP, where kube-proxy is
	// in mode ipvs: whether the node's kernel leaves ARP requests for the addresses of Services to it.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// SpeakerInterface is one network interface of a node.
type SpeakerInterface struct {
	// Name of the interface.
	// +required
	// +kubebuilder:validation:MaxLength=15
	Name string `json:"name"`
	// MAC is the address of the interface.
	// +optional
	// +kubebuilder:validation:MaxLength=17
	MAC string `json:"mac,omitempty"`
	// Subnets that the interface is attached to, as CIDRs.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Subnets []string `json:"subnets,omitempty"`
	// Families of which the node's default route leads over this interface.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	DefaultRoutes []IPFamily `json:"defaultRoutes,omitempty"`
}

// IPFamily is IPv4 or IPv6.
//
// +kubebuilder:validation:Enum=IPv4;IPv6
type IPFamily string

// The families.
const (
	IPv4 IPFamily = "IPv4"
	IPv6 IPFamily = "IPv6"
)

// SpeakerStatusList is a list of SpeakerStatus.
//
// +kubebuilder:object:root=true
type SpeakerStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpeakerStatus `json:"items"`
}
