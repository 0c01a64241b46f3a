package announce

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// Carriers returns the nodes by which traffic for an address comes in, sorted: who announces it by layer 2, of which this has been
// decided, and all that do by BGP. A node that is to lose its routes is none any more.
func Carriers(s *config.Snapshot, nodes []Node, of []Announcement, sharers []*Service) []string {
	var out []string
	for i, svc := range sharers {
		if of[i].Node != "" {
			out = append(out, of[i].Node)
		}
		if len(of[i].BGP.Peers) == 0 {
			continue
		}
		for j := range nodes {
			if n := &nodes[j]; DutyOf(n, false) == Serving && routes(s, of[i].Address, svc, n) {
				out = append(out, n.Name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// routes reports whether a node announces an address of a Service to any router.
func routes(s *config.Snapshot, a netip.Addr, svc *Service, n *Node) bool {
	peers := s.Peers()
	return slices.ContainsFunc(s.BGPFor(s.PoolOf(a), svc.Labels), func(ad *config.BGPAdvertisement) bool {
		return routable(ad, svc, n) && slices.ContainsFunc(peers, func(p *config.Peer) bool {
			return p.Carries(config.FamilyOf(a)) && ad.SelectsPeer(p.Name) && p.SelectsNode(n.Labels)
		})
	})
}

// Passing is what a node does with packets that are not for kube-proxy. Nothing in it is to be changed.
type Passing struct {
	// Passes are sorted, one for each address.
	Passes []Pass
	// Hops is how many nodes a packet is passed on to at most.
	Hops int
	// Own are the addresses by which traffic comes in here, sorted, and Aggregates the prefixes that are announced to routers and are more
	// than an address, in order. What kube-proxy takes none of ends here: by the default route it would go back to the router.
	Own        []netip.Addr
	Aggregates []netip.Prefix
}

// A Pass says to which node a packet is passed on that belongs to a connection which this node does not know.
type Pass struct {
	// Addr is the address of a Service, and To that of the node, of the same family and in a subnet of this node.
	Addr, To netip.Addr
	// Until is when nobody is expected to have such connections any more; zero while several nodes announce the address.
	Until time.Time
}

// Compare orders by Addr.
func (p Pass) Compare(o Pass) int { return p.Addr.Compare(o.Addr) }

// A Holder is a node that may have connections of an address, and that packets can be passed on to.
type Holder struct {
	Node string
	// Addr is the node's address of the family in question.
	Addr netip.Addr
}

// After returns who follows a node in the ring of the holders by name, which a packet goes around until a node knows the
// connection; false if there is no other. All nodes see the same ring, so that it leads to each of them once.
func After(ring []Holder, self string) (Holder, bool) {
	ring = slices.SortedFunc(slices.Values(ring), func(a, b Holder) int { return cmp.Compare(a.Node, b.Node) })
	for _, h := range ring {
		if h.Node > self {
			return h, true
		}
	}
	if len(ring) > 0 && ring[0].Node != self {
		return ring[0], true
	}
	return Holder{}, false
}
