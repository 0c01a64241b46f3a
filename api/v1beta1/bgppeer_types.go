package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPPeer is a router that the speakers have BGP sessions with: one session from each node that is selected. The speakers
// connect to it, and never accept a connection. They announce the addresses that BGPAdvertisements are for, and take no notice
// of what the router announces.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=bgppeers,shortName=bgpp,categories=fairlead
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.peerAddress`
// +kubebuilder:printcolumn:name="ASN",type=integer,JSONPath=`.spec.peerASN`
// +kubebuilder:printcolumn:name="Sessions",type=string,JSONPath=`.status.sessions`
// +kubebuilder:printcolumn:name="BFD",type=string,JSONPath=`.spec.bfdProfile`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.spec.interface`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPPeer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Which router it is, and how to speak with it.
	// +required
	Spec BGPPeerSpec `json:"spec"`
	// Whether the peer is accepted, and how many sessions there are. Written by the controller.
	// +optional
	Status BGPPeerStatus `json:"status,omitempty,omitzero"`
}

// BGPPeerSpec is what the operator wants of the sessions with a router.
//
// +kubebuilder:validation:XValidation:rule="has(self.peerASN) != has(self.dynamicASN)",message="exactly one of peerASN and dynamicASN must be set"
// +kubebuilder:validation:XValidation:rule="has(self.peerAddress) != has(self.interface)",message="exactly one of peerAddress and interface must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.sourceAddress) || has(self.peerAddress)",message="sourceAddress needs peerAddress: with interface, the link-local address of the interface is the source"
// +kubebuilder:validation:XValidation:rule="!has(self.sourceAddress) || !has(self.peerAddress) || !isIP(self.sourceAddress) || !isIP(self.peerAddress) || ip(self.sourceAddress).family() == ip(self.peerAddress).family()",message="sourceAddress and peerAddress must be of one family, IPv4 or IPv6"
// +kubebuilder:validation:XValidation:rule="!has(self.holdTime) || !has(self.keepaliveTime) || duration(self.keepaliveTime) <= duration(self.holdTime)",message="keepaliveTime must not be longer than holdTime"
// +kubebuilder:validation:XValidation:rule="!has(self.ebgpMultiHop) || !self.ebgpMultiHop || !(has(self.dynamicASN) ? self.dynamicASN == 'internal' : has(self.peerASN) && self.peerASN == self.myASN)",message="ebgpMultiHop is for external peers (eBGP): with an internal one, the number of hops does not matter"
// +kubebuilder:validation:XValidation:rule="!has(self.ebgpMultiHop) || !self.ebgpMultiHop || !has(self.interface)",message="ebgpMultiHop needs peerAddress: the router on an interface is one hop away"
// +kubebuilder:validation:XValidation:rule="!has(self.ebgpMultiHop) || !self.ebgpMultiHop || !has(self.ttlSecurity)",message="ttlSecurity and ebgpMultiHop exclude each other: ttlSecurity says how many hops there may be"
// +kubebuilder:validation:XValidation:rule="!has(self.localASN) || (self.localASN != self.myASN && (has(self.dynamicASN) ? self.dynamicASN == 'external' : !has(self.peerASN) || (self.peerASN != self.localASN && self.peerASN != self.myASN)))",message="localASN is for external peers (eBGP), and must differ from myASN and peerASN"
type BGPPeerSpec struct {
	// The AS number of the cluster.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	MyASN int64 `json:"myASN"`

	// The AS number of the router. The session is internal (iBGP) where it is myASN. A router that says it has another is refused.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	PeerASN int64 `json:"peerASN,omitempty"`

	// In place of peerASN, the router's AS number as the router says it: internal, if that must be myASN; external, if
	// it must be another.
	//
	// +optional
	DynamicASN DynamicASN `json:"dynamicASN,omitempty"`

	// The AS number that is sent to this router in place of myASN, in the session and in AS paths.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	LocalASN int64 `json:"localASN,omitempty"`

	// The IPv4 or IPv6 address of the router. One that is known by its link-local IPv6 address only is named by interface.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="peerAddress must be an IP address such as 192.0.2.1 or 2001:db8::1"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !(ip(self).isUnspecified() || ip(self).isLinkLocalMulticast() || (ip(self).family() == 4 && (cidr('224.0.0.0/4').containsIP(ip(self)) || self == '255.255.255.255')) || (ip(self).family() == 6 && cidr('ff00::/8').containsIP(ip(self))))",message="peerAddress must be the address of one router, not unspecified, multicast or broadcast"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip(self).family() == 4 || !ip(self).isLinkLocalUnicast()",message="a router with a link-local IPv6 address is named by interface, not by peerAddress"
	PeerAddress string `json:"peerAddress,omitempty"`

	// In place of peerAddress, the network interface of the node behind which the router is, such as "eth1": the router is found by
	// its router advertisements, and spoken with by link-local IPv6 addresses ("unnumbered"). It must be the only router there.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/\s%*?\[\]\\]+$`
	Interface string `json:"interface,omitempty"`

	// The TCP port of the router.
	//
	// +optional
	// +kubebuilder:default=179
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	PeerPort int32 `json:"peerPort,omitempty"`

	// The address of the node that the session is made from. A node that does not have it makes no session. Absent: the one that
	// the node's routes choose; not one that a router's advertisements gave the node, where it has another in the router's network.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="sourceAddress must be an IP address such as 192.0.2.10 or 2001:db8::10"
	SourceAddress string `json:"sourceAddress,omitempty"`

	// How long the session lives without a message from the router: whole seconds from 3 to 65535, or 0 for ever. Both sides take the
	// shorter of what they propose. Absent: three times keepaliveTime, or 90s. BFD finds out much sooner.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration('0s') || (duration(self) >= duration('3s') && duration(self) <= duration('65535s'))",message="holdTime must be 0s, or between 3s and 65535s"
	// +kubebuilder:validation:XValidation:rule="duration(self).getMilliseconds() % 1000 == 0",message="holdTime must be whole seconds"
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// How often the node says that it is there: whole seconds, not more than holdTime. Absent: a third of holdTime.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('65535s')",message="keepaliveTime must be between 0s and 65535s"
	// +kubebuilder:validation:XValidation:rule="duration(self).getMilliseconds() % 1000 == 0",message="keepaliveTime must be whole seconds"
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// How long to wait between attempts to connect, at most; the first ones follow each other faster. Whole seconds from 1 to 65535.
	// Absent: 10s.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('65535s')",message="connectTime must be between 1s and 65535s"
	// +kubebuilder:validation:XValidation:rule="duration(self).getMilliseconds() % 1000 == 0",message="connectTime must be whole seconds"
	ConnectTime *metav1.Duration `json:"connectTime,omitempty"`

	// The BGP identifier of the node, in the form of an IPv4 address. Absent: an IPv4 address of the node or, where it has none, a
	// number that follows from its name. Since it must differ from node to node, let nodeSelectors select one node. A node has one
	// identifier for all its sessions: of two peers that say different ones for a node, the younger is refused.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip(self).family() == 4 && !ip(self).isUnspecified()",message="routerID must have the form of an IPv4 address such as 192.0.2.10, and not be 0.0.0.0"
	RouterID string `json:"routerID,omitempty"`

	// Nodes that have a session with the router, by the labels of the Node. One match is enough. Absent: all nodes. One router is
	// one peer for a node: of two peers with the same address or interface that may select one node, the younger is refused.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	NodeSelectors []LabelSelector `json:"nodeSelectors,omitempty"`

	// The password of the session (TCP MD5, RFC 2385). Absent: none.
	//
	// +optional
	PasswordSecret *SecretReference `json:"passwordSecret,omitempty"`

	// The name of the BFDProfile by which the node finds out that the router is gone. Absent: by holdTime only.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	BFDProfile string `json:"bfdProfile,omitempty"`

	// Have the router keep the routes while a speaker is restarted (RFC 4724). As it then also keeps, for that time, the routes of a
	// node that is dead, use it together with bfdProfile. Absent: it drops them with the session.
	//
	// +optional
	GracefulRestart *GracefulRestart `json:"gracefulRestart,omitempty"`

	// Whether there may be other routers between the node and an external peer. Absent: it is one hop away.
	//
	// +optional
	EBGPMultiHop bool `json:"ebgpMultiHop,omitempty"`

	// TTL security (GTSM, RFC 5082): how many hops away the router is at most, 1 for one in the node's own network. What comes from
	// further away is dropped. The router must have the same set. Absent: it is not checked.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=254
	TTLSecurity int32 `json:"ttlSecurity,omitempty"`

	// Which routes the session carries. IPv6 routes over an IPv4 session have an IPv6 address of the node as next hop; IPv4 routes
	// over an IPv6 session have one too (RFC 8950) where the router can do with it. Absent: those of the family of peerAddress; with
	// interface, both. To change them resets the session.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	AddressFamilies []AddressFamily `json:"addressFamilies,omitempty"`
}

// DynamicASN says what the AS number of a router must be that is not known beforehand.
//
// +kubebuilder:validation:Enum=internal;external
type DynamicASN string

// What the AS number of a router must be.
const (
	// InternalASN is the cluster's own.
	InternalASN DynamicASN = "internal"
	// ExternalASN is any but the cluster's own.
	ExternalASN DynamicASN = "external"
)

// AddressFamily is a kind of routes: an address family (AFI) with the subsequent family unicast.
//
// +kubebuilder:validation:Enum=ipv4Unicast;ipv6Unicast
type AddressFamily string

// The kinds of routes.
const (
	IPv4Unicast AddressFamily = "ipv4Unicast"
	IPv6Unicast AddressFamily = "ipv6Unicast"
)

// SecretReference names a Secret in Fairlead's own namespace.
type SecretReference struct {
	// Name of a Secret of type kubernetes.io/basic-auth in the namespace of the speakers. Its key password is used, at most 80 bytes.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// GracefulRestart says how a router is to bridge the restart of a speaker.
type GracefulRestart struct {
	// How long the router keeps the routes without a session: whole seconds from 1 to 4095. Absent: 120s.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('4095s')",message="restartTime must be between 1s and 4095s"
	// +kubebuilder:validation:XValidation:rule="duration(self).getMilliseconds() % 1000 == 0",message="restartTime must be whole seconds"
	RestartTime *metav1.Duration `json:"restartTime,omitempty"`
}

// BGPPeerStatus is what the controller says of a peer.
type BGPPeerStatus struct {
	// The spec as it was last accepted, which stays active while the present one is not accepted.
	//
	// +optional
	AcceptedSpec *BGPPeerSpec `json:"acceptedSpec,omitempty"`

	// How many sessions are established, of how many there should be, such as "3/3 established".
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Sessions string `json:"sessions,omitempty"`
	// How many nodes, of those that are ready, have an established session with the router.
	// +optional
	Established int32 `json:"established"`
	// How many nodes are to have a session with the router.
	// +optional
	Configured int32 `json:"configured"`

	// Accepted: whether the peer is used; if not, its reason and message say what is wrong with it. Established: whether all sessions
	// are; if not, its message names nodes that have none, and why.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPPeerList is a list of BGPPeer.
//
// +kubebuilder:object:root=true
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPPeer `json:"items"`
}
