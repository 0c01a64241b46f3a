package announce

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// Decide says who announces each address.
func Decide(s *config.Snapshot, v View) Plan {
	services := slices.Clone(v.Services)
	slices.SortFunc(services, func(a, b Service) int { return a.Key.compare(b.Key) })
	var p Plan
	for i := range services {
		for _, a := range services[i].Addresses {
			p.Announcements = append(p.Announcements, decide(s, v.Nodes, &services[i], a))
		}
	}
	return p
}

func decide(s *config.Snapshot, nodes []Node, svc *Service, a netip.Addr) Announcement {
	out := Announcement{Service: svc.Key, Address: a}
	no := func(r Reason, message string) Announcement {
		out.Reason, out.Message = r, message
		return out
	}
	if len(svc.Endpoints) == 0 {
		return no(NoEndpoints, "the Service has no ready endpoint")
	}
	pool := s.PoolOf(a)
	if pool == nil {
		return no(NoPool, "the address belongs to no IPAddressPool")
	}
	ads := s.L2For(pool, svc.Labels)
	if len(ads) == 0 {
		return no(NoAdvertisement, "no L2Advertisement is for pool "+pool.Name+" and this Service")
	}
	best, count := elect(ads, nodes, svc, a)
	if best == nil {
		return no(NoNode, explain(count))
	}
	out.Node, out.Links, out.Reason = best.node.Name, best.links, Announced
	return out
}

// candidate is a node that can announce an address.
type candidate struct {
	node *Node
	// links on which it would announce, sorted.
	links []string
	// healthy nodes go before others, which are asked only when no healthy one
	// is left: an outage of the control plane makes every node look unready, and
	// is no reason to fall silent.
	healthy bool
	// preference is the sum of the weights of the advertisements that select the node.
	preference int
	weight     uint64
}

// elect returns the best candidate, or nil and how many nodes fail for which reason.
func elect(ads []*config.L2, nodes []Node, svc *Service, a netip.Addr) (*candidate, [obstacles]int) {
	var best *candidate
	var count [obstacles]int
	for i := range nodes {
		c, why := stand(ads, &nodes[i], svc, a)
		count[why]++
		if why == none && (best == nil || c.compare(best) > 0) {
			best = c
		}
	}
	return best, count
}

// stand says whether a node can announce an address.
func stand(ads []*config.L2, n *Node, svc *Service, a netip.Addr) (*candidate, obstacle) {
	switch {
	case !slices.ContainsFunc(ads, func(l *config.L2) bool { return l.SelectsNode(n.Labels) }):
		return nil, notSelected
	case n.Excluded:
		return nil, excluded
	case n.NetworkUnavailable:
		return nil, networkUnavailable
	case svc.Local && svc.Endpoints[n.Name] == 0:
		return nil, noLocalEndpoint
	}
	c := &candidate{node: n, healthy: n.Ready && n.SpeakerReady}
	for _, l := range ads {
		if l.SelectsNode(n.Labels) {
			c.preference += l.Preference(n.Labels)
			c.links = append(c.links, choose(l, n.Links, a)...)
		}
	}
	if len(c.links) == 0 {
		return nil, noLink
	}
	slices.Sort(c.links)
	c.links = slices.Compact(c.links)
	c.weight = weigh(n.Name, a)
	return c, none
}

// choose returns the links on which an advertisement has a node announce an address:
// those it names, or the ones whose segment has the address, or, where none has,
// those of the default route.
func choose(l *config.L2, links []Link, a netip.Addr) []string {
	pick := func(ok func(*Link) bool) (out []string) {
		for i := range links {
			if ok(&links[i]) {
				out = append(out, links[i].Name)
			}
		}
		return out
	}
	if !l.AnyInterface() {
		return pick(func(k *Link) bool { return l.SelectsInterface(k.Name) })
	}
	if on := pick(func(k *Link) bool { return k.reaches(a) }); len(on) > 0 {
		return on
	}
	return pick(func(k *Link) bool { return slices.Contains(k.DefaultRoutes, config.FamilyOf(a)) })
}

func (c *candidate) compare(o *candidate) int {
	return cmp.Or(
		compareBool(c.healthy, o.healthy),
		cmp.Compare(c.preference, o.preference),
		cmp.Compare(c.weight, o.weight),
		cmp.Compare(o.node.Name, c.node.Name),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}
