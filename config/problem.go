package config

import (
	"cmp"
	"fmt"
	"slices"
)

// Reason says in one word what is wrong with an object. The same word is the
// reason of its condition.
type Reason string

// What can be wrong with an object.
const (
	// InvalidAddresses: an entry of addresses or exclude cannot be read.
	InvalidAddresses Reason = "InvalidAddresses"
	// NoAddresses: nothing is left of the pool after what it excludes.
	NoAddresses Reason = "NoAddresses"
	// InvalidSelector: a label selector cannot be read.
	InvalidSelector Reason = "InvalidSelector"
	// InvalidInterface: a pattern of interface names cannot be read.
	InvalidInterface Reason = "InvalidInterface"
	// Overlap: the pool has addresses that an older pool has too.
	Overlap Reason = "Overlap"
	// PoolNotFound: the object names a pool that does not exist.
	PoolNotFound Reason = "PoolNotFound"
	// InvalidPeer: a field of a BGPPeer cannot be used, alone or with the others.
	InvalidPeer Reason = "InvalidPeer"
	// PeerConflict: an older BGPPeer is the same router for the same nodes, or has another router ID there.
	PeerConflict Reason = "PeerConflict"
	// PeerNotFound: the object names a BGPPeer that does not exist, or is not active.
	PeerNotFound Reason = "PeerNotFound"
	// InvalidProfile: a field of a BFDProfile cannot be used.
	InvalidProfile Reason = "InvalidProfile"
	// ProfileNotFound: the object names a BFDProfile that does not exist, or is not active.
	ProfileNotFound Reason = "ProfileNotFound"
	// InvalidCommunity: a BGP community cannot be read.
	InvalidCommunity Reason = "InvalidCommunity"
	// CommunityNotFound: an alias is not defined.
	CommunityNotFound Reason = "CommunityNotFound"
	// DuplicateAlias: an alias is defined elsewhere already.
	DuplicateAlias Reason = "DuplicateAlias"
	// InvalidAggregation: addresses cannot be aggregated as asked for.
	InvalidAggregation Reason = "InvalidAggregation"
	// InvalidAttribute: an attribute of routes is out of range.
	InvalidAttribute Reason = "InvalidAttribute"
	// AttributeConflict: an older BGPAdvertisement has another attribute for the same routes.
	AttributeConflict Reason = "AttributeConflict"
)

// What an object can be warned about, which is active all the same. The same word is
// the reason of a pool's condition Overlapping.
const (
	// NodeAddress: the pool has an address of a node.
	NodeAddress Reason = "NodeAddress"
	// PodNetwork: the pool has addresses that pods may have.
	PodNetwork Reason = "PodNetwork"
	// ServiceNetwork: the pool has addresses that Services may have as their cluster IPs.
	ServiceNetwork Reason = "ServiceNetwork"
)

// Warns reports whether the reason is one to warn for, and not to refuse anything.
func (r Reason) Warns() bool {
	_, warns := warnings[r]
	return warns
}

// Kind names the kind of the object that a Problem is about.
type Kind string

// The kinds that a Snapshot is built from.
const (
	IPAddressPool        Kind = "IPAddressPool"
	L2Advertisement      Kind = "L2Advertisement"
	BGPPeerKind          Kind = "BGPPeer"
	BGPAdvertisementKind Kind = "BGPAdvertisement"
	BFDProfileKind       Kind = "BFDProfile"
	CommunityKind        Kind = "Community"
)

// Ref names an object.
type Ref struct {
	Kind Kind
	Name string
}

// A Problem is one thing that is wrong with one object.
type Problem struct {
	Ref
	Reason  Reason
	Message string
}

// String says where, what and why in a line.
func (p Problem) String() string {
	return fmt.Sprintf("%s %s: %s: %s", p.Kind, p.Name, p.Reason, p.Message)
}

func sortProblems(ps []Problem) {
	slices.SortFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message))
	})
}
