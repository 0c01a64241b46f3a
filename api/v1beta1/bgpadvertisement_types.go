package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPAdvertisement has the addresses of some pools announced by BGP, from every node that can take the traffic: for a Service
// with externalTrafficPolicy Local those that have a ready endpoint, otherwise all that it selects.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=bgpadvertisements,shortName=bgpadv,categories=fairlead
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Matching",type=string,JSONPath=`.status.conditions[?(@.type=="Matching")].message`
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.spec.ipAddressPools`,priority=1
// +kubebuilder:printcolumn:name="Peers",type=string,JSONPath=`.spec.peers`
// +kubebuilder:printcolumn:name="Communities",type=string,JSONPath=`.spec.communities`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPAdvertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Which addresses are announced, from where, to whom, and with which attributes. An empty spec announces all addresses of all
	// pools from all nodes to all peers.
	// +optional
	Spec BGPAdvertisementSpec `json:"spec,omitempty,omitzero"`
	// Whether the advertisement is accepted. Written by the controller.
	// +optional
	Status BGPAdvertisementStatus `json:"status,omitempty,omitzero"`
}

// BGPAdvertisementSpec is what the operator wants announced by BGP. Several advertisements may select one pool; what each allows
// adds up, and so do their communities. Where they lead to the same route, there can be one localPref, med and asPathPrepend
// only: an advertisement that says another than an older one is at fault.
//
// +kubebuilder:validation:XValidation:rule="!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",message="serviceSelectors cannot be used with aggregationLength or aggregationLengthV6: an aggregate is for all Services in it"
type BGPAdvertisementSpec struct {
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

	// Services whose addresses are announced, by the labels of the Service. One
	// match is enough. Absent: all Services.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	ServiceSelectors []LabelSelector `json:"serviceSelectors,omitempty"`

	// Names of the BGPPeers to announce to. Absent: all peers.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	Peers []string `json:"peers,omitempty"`

	// The length of the prefixes that IPv4 addresses are announced by. With less than 32, one route stands for all addresses in it,
	// as long as one of them is active. A route never goes beyond the pool: where a prefix of this length would, as at the ends of a
	// range and around what the pool excludes, longer ones are announced. At least one prefix of this length must be in each pool.
	// Absent: 32.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	AggregationLength *int32 `json:"aggregationLength,omitempty"`

	// The same for IPv6 addresses. Absent: 128.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	AggregationLengthV6 *int32 `json:"aggregationLengthV6,omitempty"`

	// LOCAL_PREF: routers of the same AS prefer the route with the highest. It is sent to internal peers (iBGP) only. Absent: 100 to
	// those.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	LocalPref *int64 `json:"localPref,omitempty"`

	// Communities of the routes: standard ones (RFC 1997, "65000:1"), large ones (RFC 8092, "large:65000:1:2"), well-known names
	// (no-export, no-advertise, no-export-subconfed, no-peer, blackhole, graceful-shutdown, accept-own, no-llgr), and aliases from
	// Communities. While an alias is not defined, the advertisement is not accepted: without it, a route might go where it must not.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([0-9]{1,5}:[0-9]{1,5}|large:[0-9]{1,10}:[0-9]{1,10}:[0-9]{1,10}|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)$')",message="it must be of the form 65000:1 or large:65000:1:2, a well-known name such as no-export, or an alias"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^(large:)?[0-9:]+$') || self.split(':').all(n, n == 'large' || int(n) <= (self.startsWith('large:') ? 4294967295 : 65535))",message="numbers of a standard community are at most 65535, of a large one at most 4294967295"
	Communities []string `json:"communities,omitempty"`

	// MULTI_EXIT_DISC: among routes from one AS, routers prefer the one with the lowest. Absent: none is sent.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	MED *int64 `json:"med,omitempty"`

	// How many times the own AS number is put before the AS path in addition to the once that it is there for external peers (eBGP),
	// so that routers prefer other ways. Absent: 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16
	ASPathPrepend int32 `json:"asPathPrepend,omitempty"`

	// Have routers with several ways to an address spread traffic by the number of ready endpoints of each node, for Services with
	// externalTrafficPolicy Local: routes carry the extended community link bandwidth, one Gbit/s for each endpoint. An aggregate
	// counts those of all Services in it. With policy Cluster it has no effect, as all nodes reach the same endpoints.
	//
	// +optional
	WeightByEndpoints bool `json:"weightByEndpoints,omitempty"`

	// How many ready endpoints a Service must have to be announced: on the node with externalTrafficPolicy Local, in all otherwise.
	// Absent: 1.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MinReadyEndpoints int32 `json:"minReadyEndpoints,omitempty"`
}

// BGPAdvertisementStatus is what the controller says of an advertisement.
type BGPAdvertisementStatus struct {
	// The spec as it was last accepted, with values in place of aliases of communities. It stays active while the present
	// one is not accepted.
	//
	// +optional
	AcceptedSpec *BGPAdvertisementSpec `json:"acceptedSpec,omitempty"`

	// Accepted: whether the advertisement is used; if not, its reason and message
	// say what is wrong with it.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPAdvertisementList is a list of BGPAdvertisement.
//
// +kubebuilder:object:root=true
type BGPAdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPAdvertisement `json:"items"`
}
