package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// L2Advertisement has the addresses of some pools announced on the local
// network segment: one node answers ARP for each IPv4 address, and neighbour
// solicitations (NDP) for each IPv6 address.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=l2advertisements,shortName=l2adv,categories=fairlead
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Matching",type=string,JSONPath=`.status.conditions[?(@.type=="Matching")].message`
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.spec.ipAddressPools`,priority=1
// +kubebuilder:printcolumn:name="Interfaces",type=string,JSONPath=`.spec.interfaces`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type L2Advertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Which addresses are announced, from where. An empty spec announces all
	// addresses of all pools from all nodes.
	// +optional
	Spec L2AdvertisementSpec `json:"spec,omitempty,omitzero"`
	// Whether the advertisement is accepted. Written by the controller.
	// +optional
	Status L2AdvertisementStatus `json:"status,omitempty,omitzero"`
}

// L2AdvertisementSpec is what the operator wants announced on layer 2.
// Several advertisements may select one pool; what each allows adds up.
type L2AdvertisementSpec struct {
	// Names of the pools whose addresses are announced. Absent together with
	// ipAddressPoolSelectors: all pools.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// Pools whose addresses are announced, by the labels of the pool, in
	// addition to those named in ipAddressPools.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	IPAddressPoolSelectors []LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// Nodes that may announce, by the labels of the Node. One match is enough.
	// Absent: all nodes.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	NodeSelectors []LabelSelector `json:"nodeSelectors,omitempty"`

	// Nodes that are preferred, among those that may announce: the node with the
	// highest sum of matching weights announces. Absent: all are equal, and
	// addresses are spread over them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	PreferredNodeSelectors []PreferredNodeSelector `json:"preferredNodeSelectors,omitempty"`

	// Names of the network interfaces on which to announce, such as "eth1"; "*" stands
	// for any characters, as in "bond*". A node that has none of them does not announce.
	// Absent: the interfaces whose subnet contains the address, or, where no
	// interface has such a subnet, those of the node's default route.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=15
	// +kubebuilder:validation:items:Pattern=`^[^/\s\[\]\\?]+$`
	Interfaces []string `json:"interfaces,omitempty"`

	// Services whose addresses are announced, by the labels of the Service. One
	// match is enough. Absent: all Services.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	ServiceSelectors []LabelSelector `json:"serviceSelectors,omitempty"`
}

// PreferredNodeSelector adds a weight to the nodes that it matches.
type PreferredNodeSelector struct {
	// How much a matching node is preferred.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Nodes that get the weight, by the labels of the Node.
	//
	// +required
	Preference LabelSelector `json:"preference"`
}

// L2AdvertisementStatus is what the controller says of an advertisement.
type L2AdvertisementStatus struct {
	// The spec as it was last accepted, which stays active while the present one is not accepted.
	//
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AcceptedSpec *L2AdvertisementSpec `json:"acceptedSpec,omitempty"`

	// Accepted: whether the advertisement is used; if not, its reason and message
	// say what is wrong with it.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// L2AdvertisementList is a list of L2Advertisement.
//
// +kubebuilder:object:root=true
type L2AdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []L2Advertisement `json:"items"`
}
