package announce

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// At says who announces one address: see Decider.
func At(s *config.Snapshot, nodes []Node, a netip.Addr, sharers []*Service) []Announcement {
	return NewDecider(s, nodes, 1).At(a, sharers)
}

// At says who announces one address, for each of the Services that have it: one, or several that
// share it, sorted by Key. One node announces it, for all of them.
func (d *Decider) At(a netip.Addr, sharers []*Service) []Announcement {
	s, nodes := d.snapshot, d.nodes
	e := electionOf(nodes, a)
	e.decider = d
	e.record = recordOf(a, sharers)
	e.stakes = stakesOf(s, a, sharers)
	fresh := !slices.ContainsFunc(sharers, func(svc *Service) bool { return slices.Contains(svc.InUse, a) })
	out := make([]Announcement, 0, len(sharers))
	for _, svc := range sharers {
		x := e.decide(s, svc)
		x.Fresh, x.BGP = fresh, d.reach(a, svc)
		out = append(out, x)
	}
	return out
}

// recordOf returns who is to announce an address, by the first Service that says so.
func recordOf(a netip.Addr, sharers []*Service) []string {
	for _, svc := range sharers {
		if r := svc.Record[a]; len(r) > 0 {
			return r
		}
	}
	return nil
}

// stake is what a Service demands of who announces its address.
type stake struct {
	svc *Service
	ads []*config.L2
}

// stakesOf returns the stakes of those Services that could be announced.
func stakesOf(s *config.Snapshot, a netip.Addr, sharers []*Service) []stake {
	pool := s.PoolOf(a)
	if pool == nil {
		return nil
	}
	out := make([]stake, 0, len(sharers))
	for _, svc := range sharers {
		if len(svc.Endpoints) == 0 {
			continue
		}
		if ads := s.L2For(pool, svc.Labels); len(ads) > 0 {
			out = append(out, stake{svc, ads})
		}
	}
	return out
}

// election is about one address.
type election struct {
	nodes  []Node
	addr   netip.Addr
	seed   seed
	record []string
	stakes []stake
	// decider may know the candidates already; nil for none.
	decider *Decider
	// shared is what came of the election for all; it is held once.
	shared result
	held   bool
}

func electionOf(nodes []Node, a netip.Addr) election {
	return election{nodes: nodes, addr: a, seed: seedOf(a)}
}

func (e *election) decide(s *config.Snapshot, svc *Service) Announcement {
	out := Announcement{Service: svc.Key, Address: e.addr}
	no := func(r Reason, message string) Announcement {
		out.Reason, out.Message = r, message
		return out
	}
	if len(svc.Endpoints) == 0 {
		return no(NoEndpoints, "the Service has no ready endpoint")
	}
	pool := s.PoolOf(e.addr)
	if pool == nil {
		return no(NoPool, "the address belongs to no IPAddressPool")
	}
	i := slices.IndexFunc(e.stakes, func(k stake) bool { return k.svc == svc })
	if i < 0 {
		return no(NoAdvertisement, "no L2Advertisement or BGPAdvertisement is for pool "+pool.Name+" and this Service")
	}
	r := e.elect(e.stakes[i : i+1])
	if r.best.node == nil {
		return no(NoNode, explain(r.count))
	}
	if len(e.stakes) > 1 {
		if r = e.forAll(); r.best.node == nil {
			return no(NoNode, "no node can announce the address for all Services that share it")
		}
	}
	out.Node, out.Links, out.Reason = r.best.node.Name, r.best.links, Announced
	if r.next.node != nil {
		out.Next = r.next.node.Name
	}
	if r.standin.node != nil {
		out.Standin, out.StandinLinks = r.standin.node.Name, r.standin.links
	}
	return out
}

// forAll elects who suits all but those Services whom no node suits: they have no say.
func (e *election) forAll() result {
	if !e.held {
		e.shared = e.elect(slices.DeleteFunc(slices.Clone(e.stakes), func(k stake) bool {
			return e.elect([]stake{k}).best.node == nil
		}))
		e.held = true
	}
	return e.shared
}

// result is what came of an election.
type result struct {
	best elected
	// next would announce if best were gone.
	next elected
	// standin answers for best while its speaker is away.
	standin elected
	// count is how many nodes fail for which reason.
	count [obstacles]int
}

// elect finds the best candidate for some stakes.
func (e *election) elect(stakes []stake) result {
	known := e.decider.ballots(stakes, e.addr)
	if r, ok := e.confirm(stakes, known); ok {
		return r
	}
	var r result
	var c, best, next candidate
	for i := range e.nodes {
		why := e.stand(stakes, known, i, &c)
		if r.count[why]++; why != none {
			continue
		}
		switch {
		case best.node == nil:
			best = c
		case c.compare(&best) > 0:
			best, next = c, best
		case next.node == nil || c.compare(&next) > 0:
			next = c
		}
	}
	r.best, r.next = e.elected(stakes, &best), e.elected(stakes, &next)
	if best.node != nil && best.node.Presence == Away {
		r.standin = e.standin(stakes, known)
	}
	return r
}

// confirm elects the two who are recorded, if none ranks higher, which need not be asked of each node. So it is for most addresses.
func (e *election) confirm(stakes []stake, known *ballots) (r result, ok bool) {
	if known == nil || known.top.node == nil || len(e.record) < 2 || e.record[0] == e.record[1] {
		return r, false
	}
	var both [2]candidate
	for i := range both {
		at, is := e.decider.at[e.record[i]]
		if !is || e.stand(stakes, known, at, &both[i]) != none || both[i].rank(&known.top) < 0 {
			return r, false
		}
	}
	if both[0].node.Presence == Away { // another answers meanwhile
		return r, false
	}
	r.best, r.next = e.elected(stakes, &both[0]), e.elected(stakes, &both[1])
	return r, true
}

// standin is the best candidate of those whose speakers answer.
func (e *election) standin(stakes []stake, known *ballots) elected {
	var c, best candidate
	for i := range e.nodes {
		if e.stand(stakes, known, i, &c) == none && c.node.Presence == Alive && (best.node == nil || c.compare(&best) > 0) {
			best = c
		}
	}
	return e.elected(stakes, &best)
}

// elected is a node, nil for none, and the links on which it would announce, sorted.
type elected struct {
	node  *Node
	links []string
}

func (e *election) elected(stakes []stake, c *candidate) elected {
	if c.node == nil {
		return elected{}
	}
	return elected{c.node, e.linksFor(stakes, c.node)}
}
