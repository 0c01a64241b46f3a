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
	addresses := stakesOf(s, services)
	var p Plan
	for i := range services {
		for _, a := range services[i].Addresses {
			p.Announcements = append(p.Announcements, decide(s, v.Nodes, &services[i], a, addresses[a]))
		}
	}
	return p
}

// stake is what a Service demands of who announces its address.
type stake struct {
	svc *Service
	ads []*config.L2
}

// address is who has a stake in one address. Where Services share it, one node announces it,
// for all of them.
type address struct {
	stakes []stake
	// shared is the best candidate for all; it is looked for once.
	shared *candidate
	looked bool
}

// forAll returns the candidate that suits all but those Services whom no node suits: they have no say.
func (x *address) forAll(nodes []Node, a netip.Addr) *candidate {
	if !x.looked {
		x.shared, _ = elect(slices.DeleteFunc(slices.Clone(x.stakes), func(k stake) bool {
			alone, _ := elect([]stake{k}, nodes, a)
			return alone == nil
		}), nodes, a)
		x.looked = true
	}
	return x.shared
}

// stakesOf returns the stakes of all Services that could be announced, by address.
func stakesOf(s *config.Snapshot, services []Service) map[netip.Addr]*address {
	out := make(map[netip.Addr]*address, len(services))
	for i := range services {
		svc := &services[i]
		for _, a := range svc.Addresses {
			x := out[a]
			if x == nil {
				x = &address{}
				out[a] = x
			}
			if pool := s.PoolOf(a); pool != nil && len(svc.Endpoints) > 0 {
				if ads := s.L2For(pool, svc.Labels); len(ads) > 0 {
					x.stakes = append(x.stakes, stake{svc, ads})
				}
			}
		}
	}
	return out
}

func decide(s *config.Snapshot, nodes []Node, svc *Service, a netip.Addr, x *address) Announcement {
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
	i := slices.IndexFunc(x.stakes, func(k stake) bool { return k.svc == svc })
	if i < 0 {
		return no(NoAdvertisement, "no L2Advertisement is for pool "+pool.Name+" and this Service")
	}
	best, count := elect(x.stakes[i:i+1], nodes, a)
	if best != nil && len(x.stakes) > 1 {
		if best = x.forAll(nodes, a); best == nil {
			return no(NoNode, "no node can announce the address for all Services that share it")
		}
	}
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
func elect(stakes []stake, nodes []Node, a netip.Addr) (*candidate, [obstacles]int) {
	var best *candidate
	var count [obstacles]int
	for i := range nodes {
		c, why := stand(stakes, &nodes[i], a)
		count[why]++
		if why == none && (best == nil || c.compare(best) > 0) {
			best = c
		}
	}
	return best, count
}

// stand says whether a node can announce an address, for all who share it.
func stand(stakes []stake, n *Node, a netip.Addr) (*candidate, obstacle) {
	c := &candidate{node: n, healthy: n.Ready && n.SpeakerReady}
	for _, k := range stakes {
		if why := c.suit(&k, a); why != none {
			return nil, why
		}
	}
	slices.Sort(c.links)
	c.links = slices.Compact(c.links)
	c.weight = weigh(n.Name, a)
	return c, none
}

// suit adds the links and the preference that one Service asks for, or says what is in the way.
func (c *candidate) suit(k *stake, a netip.Addr) obstacle {
	n := c.node
	switch {
	case !slices.ContainsFunc(k.ads, func(l *config.L2) bool { return l.SelectsNode(n.Labels) }):
		return notSelected
	case n.Excluded:
		return excluded
	case n.NetworkUnavailable:
		return networkUnavailable
	case k.svc.Local && k.svc.Endpoints[n.Name] == 0:
		return noLocalEndpoint
	}
	found := false
	for _, l := range k.ads {
		if l.SelectsNode(n.Labels) {
			links := choose(l, n.Links, a)
			c.preference += l.Preference(n.Labels)
			c.links = append(c.links, links...)
			found = found || len(links) > 0
		}
	}
	if !found {
		return noLink
	}
	return none
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
