package announce

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/fairlead-lb/fairlead/config"
)

// A Route is a prefix, and what is said of it to each peer; without peers it is withdrawn.
type Route struct {
	Prefix netip.Prefix
	// Peers that it is announced to, by name.
	Peers []PeerRoute
}

// A PeerRoute is what is said of a route to one peer. Equal attributes are one pointer.
type PeerRoute struct {
	Peer       string
	Attributes *Attributes
}

// Attributes are the path attributes that an operator or the state of the node chooses. Not to be changed.
type Attributes struct {
	// LocalPref and MED are said where they are set (RFC 4271, sections 5.1.5 and 5.1.4).
	LocalPref, MED       uint32
	HasLocalPref, HasMED bool
	// Prepend is how often the own AS number is prepended beyond the one time that eBGP demands.
	Prepend int
	// Communities are sorted (RFC 1997), and so are large ones (RFC 8092).
	Communities      []config.Community
	LargeCommunities []config.LargeCommunity
	// Bandwidth of the link, in bytes a second (draft-ietf-idr-link-bandwidth); 0 where it is not said.
	Bandwidth uint64
	// GracefulShutdown: the node is about to withdraw the route (RFC 8326).
	GracefulShutdown bool
}

// key tells unequal attributes apart.
func (a *Attributes) key() string { return fmt.Sprintf("%v", *a) }

// intern returns the attributes that are equal to some, and one pointer for all that are.
func (r *Routes) intern(a Attributes) *Attributes {
	k := a.key()
	known := r.interned[k]
	if known == nil {
		known = &a
		r.interned[k] = known
	}
	return known
}

// sweep forgets attributes that no route has any more, if there may be many.
func (r *Routes) sweep() {
	const few = 64
	if len(r.interned) <= max(few, r.limit) {
		return
	}
	used := map[string]*Attributes{}
	for _, peers := range r.is {
		for _, p := range peers {
			used[p.Attributes.key()] = p.Attributes
		}
	}
	r.interned, r.limit = used, 2*len(used)
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
