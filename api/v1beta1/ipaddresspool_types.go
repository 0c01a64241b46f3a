package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPAddressPool is a set of external addresses that the controller may give to
// Services of type LoadBalancer.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=ipaddresspools,shortName=flpool,categories=fairlead
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Auto-Assign",type=boolean,JSONPath=`.spec.autoAssign`
// +kubebuilder:printcolumn:name="Advertised",type=string,JSONPath=`.status.conditions[?(@.type=="Advertised")].status`
// +kubebuilder:printcolumn:name="Used-v4",type=string,JSONPath=`.status.usedIPv4`
// +kubebuilder:printcolumn:name="Used-v6",type=string,JSONPath=`.status.usedIPv6`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IPAddressPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Which addresses the pool has, and which Services may have them.
	// +required
	Spec IPAddressPoolSpec `json:"spec"`
	// How much of the pool is in use, and whether the pool is accepted. Written by the controller.
	// +optional
	Status IPAddressPoolStatus `json:"status,omitempty,omitzero"`
}

// IPAddressPoolSpec is what the operator wants of a pool.
type IPAddressPoolSpec struct {
	// In a rule, "cidr(a) == b" costs without bound as the API server of Kubernetes 1.31 estimates it, and "cidr(a) in [b]" nothing.

	// The addresses of the pool: each entry a CIDR ("192.0.2.0/24", "2001:db8::/64"),
	// a range ("192.0.2.10-192.0.2.20", both ends included), or one address. IPv4 and
	// IPv6 may be mixed. A CIDR must be written with its network address. Entries
	// must not overlap those of another pool: the younger pool is then refused. Loopback,
	// link-local, multicast and unspecified addresses cannot be used.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=96
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) || isIP(self) || (self.split('-').size() == 2 && self.split('-').all(e, isIP(e.trim())))",message="it must be a CIDR such as 192.0.2.0/24, a range such as 192.0.2.10-192.0.2.20, or one address"
	// +kubebuilder:validation:items:XValidation:rule="!isCIDR(self) || cidr(self) in [cidr(self).masked()]",message="a CIDR must be written with its network address, such as 192.0.2.0/24, not 192.0.2.5/24"
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) || self.split('-').size() != 2 || !self.split('-').all(e, isIP(e.trim())) || ip(self.split('-')[0].trim()).family() == ip(self.split('-')[1].trim()).family()",message="both ends of a range must be of one family, IPv4 or IPv6"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('(^|-) *(0|127|169[.]254|22[4-9]|23[0-9]|255[.]255[.]255[.]255$)([.]|$)|(^|-) *(::|0+:|[fF][eE][89abAB][0-9a-fA-F]:|[fF][fF][0-9a-fA-F][0-9a-fA-F]:)')",message="addresses of 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4, 255.255.255.255, ::/16, fe80::/10 and ff00::/8 (unspecified, loopback, link-local, multicast, broadcast) cannot be used"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^ *([0-9]{1,3}[.]){3}[0-9]{1,3} *- *([0-9]{1,3}[.]){3}[0-9]{1,3} *$') || [self.split('-').map(e, e.trim().split('.')).map(o, int(o[0]) * 16777216 + int(o[1]) * 65536 + int(o[2]) * 256 + int(o[3]))].all(n, n[0] <= n[1])",message="a range must not end before it starts"
	Addresses []string `json:"addresses"`

	// Addresses to leave out, in the same notation: for instance the router's.
	// An excluded address is not part of the pool: a Service that holds it gets another one
	// instead, if there is one.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=96
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) || isIP(self) || (self.split('-').size() == 2 && self.split('-').all(e, isIP(e.trim())))",message="it must be a CIDR such as 192.0.2.0/24, a range such as 192.0.2.10-192.0.2.20, or one address"
	// +kubebuilder:validation:items:XValidation:rule="!isCIDR(self) || cidr(self) in [cidr(self).masked()]",message="a CIDR must be written with its network address, such as 192.0.2.0/24, not 192.0.2.5/24"
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) || self.split('-').size() != 2 || !self.split('-').all(e, isIP(e.trim())) || ip(self.split('-')[0].trim()).family() == ip(self.split('-')[1].trim()).family()",message="both ends of a range must be of one family, IPv4 or IPv6"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^ *([0-9]{1,3}[.]){3}[0-9]{1,3} *- *([0-9]{1,3}[.]){3}[0-9]{1,3} *$') || [self.split('-').map(e, e.trim().split('.')).map(o, int(o[0]) * 16777216 + int(o[1]) * 65536 + int(o[2]) * 256 + int(o[3]))].all(n, n[0] <= n[1])",message="a range must not end before it starts"
	Exclude []string `json:"exclude,omitempty"`

	// Whether Services that ask for nothing in particular may have an address of
	// this pool. With false, only Services that name the pool
	// (fairlead.io/pool) or an address in it (fairlead.io/ips) get one.
	//
	// +optional
	// +kubebuilder:default=true
	AutoAssign *bool `json:"autoAssign,omitempty"`

	// Leave out IPv4 addresses that end in .0 or .255, which some old network
	// equipment takes for broadcast addresses and drops. A Service that already
	// holds one keeps it.
	//
	// +optional
	// +kubebuilder:default=false
	AvoidBuggyIPs bool `json:"avoidBuggyIPs,omitempty"`

	// Whose Services may share an address of this pool. Services share one where both
	// have the same fairlead.io/sharing-key and no protocol and port in common; where one has
	// externalTrafficPolicy Local, both must select the same pods. SameNamespace:
	// and are in one namespace. AllNamespaces: wherever they are; then whoever knows
	// the key can join. Those who share already go on sharing.
	//
	// +optional
	// +kubebuilder:default=SameNamespace
	Sharing Sharing `json:"sharing,omitempty"`

	// How many IPv4 and how many IPv6 addresses of this pool the Services and IPClaims
	// of one namespace may hold together. An address that they share counts once. A lower
	// quota takes nothing from who has more. Absent or 0: as many as there are.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	NamespaceQuota int32 `json:"namespaceQuota,omitempty"`

	// How long an address that was released cools down before a Service gets it that did not
	// ask for it, such as "10m": until then caches and firewall rules of former
	// clients may still know it. Who asks for the address itself gets it at once.
	// The controller does not remember what was released before it became the leader.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('720h')",message="reuseCooldown must be between 0s and 720h"
	ReuseCooldown *metav1.Duration `json:"reuseCooldown,omitempty"`

	// Which Services may have an address of this pool, and how much the pool is
	// preferred to others. Absent: every Service, after the pools with a priority.
	//
	// +optional
	ServiceAllocation *ServiceAllocation `json:"serviceAllocation,omitempty"`
}

// Sharing says whose Services may share an address.
//
// +kubebuilder:validation:Enum=SameNamespace;AllNamespaces
type Sharing string

const (
	// SameNamespace lets Services of one namespace share an address.
	SameNamespace Sharing = "SameNamespace"
	// AllNamespaces lets Services of different namespaces share one too.
	AllNamespaces Sharing = "AllNamespaces"
)

// ServiceAllocation limits a pool to some Services. The namespace part
// (namespaces or namespaceSelectors) and the Service part (serviceSelectors)
// must both admit a Service; a part that is absent admits all.
type ServiceAllocation struct {
	// Pools with a lower priority are used first; pools without one (or with 0)
	// last; equal ones in the order of their names.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Priority int32 `json:"priority,omitempty"`

	// Namespaces whose Services may have an address of this pool.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	Namespaces []string `json:"namespaces,omitempty"`

	// Namespaces whose Services may have an address of this pool, by the labels
	// of the namespace. One match is enough, here or in namespaces.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	NamespaceSelectors []LabelSelector `json:"namespaceSelectors,omitempty"`

	// Services that may have an address of this pool, by the labels of the
	// Service. One match is enough.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	ServiceSelectors []LabelSelector `json:"serviceSelectors,omitempty"`
}

// IPAddressPoolStatus is what the controller says of a pool. Counts are of
// addresses, not of Services, and stop at the largest 64-bit integer.
type IPAddressPoolStatus struct {
	// IPv4 addresses of the pool that Services and IPClaims hold.
	// +optional
	AssignedIPv4 int64 `json:"assignedIPv4"`
	// IPv6 addresses of the pool that Services and IPClaims hold.
	// +optional
	AssignedIPv6 int64 `json:"assignedIPv6"`
	// IPv4 addresses of the pool that are free.
	// +optional
	AvailableIPv4 int64 `json:"availableIPv4"`
	// IPv6 addresses of the pool that are free.
	// +optional
	AvailableIPv6 int64 `json:"availableIPv6"`
	// All IPv4 addresses of the pool that may be assigned.
	// +optional
	TotalIPv4 int64 `json:"totalIPv4"`
	// All IPv6 addresses of the pool that may be assigned.
	// +optional
	TotalIPv6 int64 `json:"totalIPv6"`
	// Of how many IPv4 addresses how many are assigned, for people: "37/254". Empty where the pool has none.
	// +optional
	UsedIPv4 string `json:"usedIPv4,omitempty"`
	// The same of IPv6 addresses. Of more than a million only how many are assigned.
	// +optional
	UsedIPv6 string `json:"usedIPv6,omitempty"`
	// The addresses that were given back last, the latest first: who had them, and until when.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Released []ReleasedAddress `json:"released,omitempty"`
	// The spec as it was last accepted, which stays active while the present one is not accepted.
	//
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AcceptedSpec *IPAddressPoolSpec `json:"acceptedSpec,omitempty"`

	// Accepted: whether the pool is used; if not, its reason and message say what
	// is wrong with it. Overlapping: whether it has addresses that nodes, pods or
	// cluster IPs have too, as far as the cluster knows; it is used all the same.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IPAddressPoolList is a list of IPAddressPool.
//
// +kubebuilder:object:root=true
type IPAddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPAddressPool `json:"items"`
}

// A ReleasedAddress is an address that somebody had.
type ReleasedAddress struct {
	// The address.
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`
	// The namespace of the Service or IPClaim that had it.
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// The name of the Service or IPClaim that had it.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Service or IPClaim.
	// +kubebuilder:validation:MaxLength=16
	Kind string `json:"kind"`
	// When it was given back.
	Time metav1.Time `json:"time"`
}
