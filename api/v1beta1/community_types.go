package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Community gives names to BGP communities, which BGPAdvertisements may then use in place of numbers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=communities,singular=community,shortName=bgpcomm,categories=fairlead
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="First",type=string,JSONPath=`.spec.communities[0].name`
// +kubebuilder:printcolumn:name="Value",type=string,JSONPath=`.spec.communities[0].value`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Community struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The aliases.
	// +required
	Spec CommunitySpec `json:"spec"`
	// Whether the aliases are accepted. Written by the controller.
	// +optional
	Status CommunityStatus `json:"status,omitempty,omitzero"`
}

// CommunitySpec is a list of aliases.
type CommunitySpec struct {
	// Aliases of communities. A name may be defined once, here and in other Communities: of two definitions, that of the older
	// Community is active.
	//
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Communities []CommunityAlias `json:"communities"`
}

// CommunityAlias is a name for a community.
type CommunityAlias struct {
	// Name of the alias. Names of well-known communities, such as no-export, are taken.
	//
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['no-export', 'no-advertise', 'no-export-subconfed', 'no-peer', 'blackhole', 'graceful-shutdown', 'accept-own', 'no-llgr'])",message="the names of well-known communities cannot be aliases"
	Name string `json:"name"`

	// What the alias stands for: a standard community such as 65000:1, or a large one such as large:65000:1:2.
	//
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}:[0-9]{1,5}|large:[0-9]{1,10}:[0-9]{1,10}:[0-9]{1,10})$')",message="a community must be of the form 65000:1 or large:65000:1:2"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^(large:)?[0-9:]+$') || self.split(':').all(n, n == 'large' || int(n) <= (self.startsWith('large:') ? 4294967295 : 65535))",message="numbers of a standard community are at most 65535, of a large one at most 4294967295"
	Value string `json:"value"`
}

// CommunityStatus is what the controller says of the aliases.
type CommunityStatus struct {
	// The spec as it was last accepted, which stays active while the present one is not accepted.
	//
	// +optional
	AcceptedSpec *CommunitySpec `json:"acceptedSpec,omitempty"`

	// Accepted: whether the aliases can be used; if not, its reason and message say what is wrong with them.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// CommunityList is a list of Community.
//
// +kubebuilder:object:root=true
type CommunityList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Community `json:"items"`
}
