package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPClaim is an external address that outlives the Services that use it. A Service of
// the same namespace uses it by naming it in annotation fairlead.io/claim. The
// claim holds its address with and without Services. A claim that is deleted
// while Services use it leaves them the address; it is free when they are gone.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=ipclaims,shortName=ipc,categories=fairlead
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.status.addresses`
// +kubebuilder:printcolumn:name="Bound",type=string,JSONPath=`.status.conditions[?(@.type=="Bound")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Bound")].reason`
// +kubebuilder:printcolumn:name="Used-By",type=string,JSONPath=`.status.services`
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.status.pools`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IPClaim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Which addresses are claimed.
	// +optional
	Spec IPClaimSpec `json:"spec,omitempty,omitzero"`
	// Which addresses the claim holds, and who uses them. Written by the controller.
	// +optional
	Status IPClaimStatus `json:"status,omitempty,omitzero"`
}

// IPClaimSpec is what the tenant wants of a claim.
//
// +kubebuilder:validation:XValidation:rule="!has(self.addresses) || !has(self.families) || self.addresses.all(a, (a.contains(':') ? 'IPv6' : 'IPv4') in self.families)",message="an address is of a family that families does not list"
type IPClaimSpec struct {
	// The pool that the addresses must come from. Absent: any pool that admits the claim
	// by its namespace and labels, as it would admit a Service.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pool string `json:"pool,omitempty"`

	// Certain addresses, at most one of each family. Absent: the controller chooses,
	// first what Services that name the claim hold already.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isIP(self)",message="it must be an IP address such as 192.0.2.7 or 2001:db8::7"
	// +kubebuilder:validation:XValidation:rule="self.size() < 2 || !self.all(a, isIP(a)) || ip(self[0]).family() != ip(self[1]).family()",message="at most one address of each family"
	Addresses []string `json:"addresses,omitempty"`

	// The families to hold an address of, one each. Absent: those of addresses, or IPv4.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Families []IPFamily `json:"families,omitempty"`
}

// IPClaimStatus is what the controller says of a claim.
type IPClaimStatus struct {
	// The addresses that the claim holds, in the order of its families.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	Addresses []string `json:"addresses,omitempty"`
	// The pools that the addresses came from.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	Pools []string `json:"pools,omitempty"`
	// The Services that use the addresses, at most 32, by name.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Services []string `json:"services,omitempty"`
	// Bound: whether the claim holds all that it asks for; if not, its reason and message
	// say why.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IPClaimList is a list of IPClaim.
//
// +kubebuilder:object:root=true
type IPClaimList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPClaim `json:"items"`
}
