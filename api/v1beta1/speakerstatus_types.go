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
// +kubebuilder:printcolumn:name="Connected",type=string,JSONPath=`.status.conditions[?(@.type=="Connected")].status`
// +kubebuilder:printcolumn:name="Strict-ARP",type=string,JSONPath=`.status.conditions[?(@.type=="StrictARP")].status`
// +kubebuilder:printcolumn:name="Interfaces",type=string,JSONPath=`.status.interfaceNames`
// +kubebuilder:printcolumn:name="Announcing",type=integer,JSONPath=`.status.announcedAddresses`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
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

	// The names of these interfaces, as text.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	InterfaceNames string `json:"interfaceNames,omitempty"`

	// Which version of the speaker this is.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version,omitempty"`

	// How many addresses this node announces now.
	// +optional
	AnnouncedAddresses int32 `json:"announcedAddresses"`

	// The addresses that this node announces, or would, and that a host outside of the cluster uses.
	//
	// +optional
	// +listType=map
	// +listMapKey=address
	// +kubebuilder:validation:MaxItems=128
	Conflicts []AddressConflict `json:"conflicts,omitempty"`

	// The other nodes that are lost, as far as this one can tell: neither their speakers nor their kernels answer. Where most speakers say so, the
	// controller takes the pods of the node out of rotation.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	LostNodes []LostNode `json:"lostNodes,omitempty"`

	// Ready: whether the speaker announces all that it should. Connected: whether it and the other speakers talk to each other, so that
	// a lost node is noticed at once. StrictARP, where kube-proxy is
	// in mode ipvs: whether the node's kernel leaves ARP requests for the addresses of Services to it.
	// KeepsConnections, where that is asked for: whether connections that are open go on when an address moves.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// LostNode is a node that does not answer.
type LostNode struct {
	// Name of the Node.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Since is when its speaker was missed.
	// +required
	Since metav1.MicroTime `json:"since"`
}

// AddressConflict is an address of a Service that a host outside of the cluster uses too.
type AddressConflict struct {
	// Address that both use.
	// +required
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`
	// Namespace and name of the Service that has the address.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// +required
	// +kubebuilder:validation:MaxLength=63
	Service string `json:"service"`
	// MAC is the address of the host.
	// +required
	// +kubebuilder:validation:MaxLength=17
	MAC string `json:"mac"`
	// Interface on which it was seen.
	// +required
	// +kubebuilder:validation:MaxLength=15
	Interface string `json:"interface"`
	// BeforeUse: it was found before the address was announced for the first time. The address is exchanged then, if
	// the Service does not ask for it.
	// +optional
	BeforeUse bool `json:"beforeUse,omitempty"`
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
	// MTU of the interface, in bytes.
	// +optional
	MTU int32 `json:"mtu,omitempty"`
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
