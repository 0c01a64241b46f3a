package announce

import (
	"cmp"
	"net/netip"

	"github.com/fairlead-lb/fairlead/config"
)

// Load says what the nodes have already.
type Load interface {
	// First returns how many addresses a node is the first to announce.
	First(node string) int
	// Next returns for how many of the addresses of one node another is the next.
	Next(first, node string) int
}

// Place proposes who announces an address that nobody has announced, and who would next: of the best
// candidates the ones that have least. It is for whom alone knows the load, the leading
// controller; the proposal is recorded and followed by all. Endpoints do not matter: they come and go.
func Place(s *config.Snapshot, nodes []Node, a netip.Addr, sharers []*Service, load Load) []string {
	anywhere := make([]*Service, 0, len(sharers))
	for _, svc := range sharers {
		x := *svc
		x.Local, x.Endpoints = false, []string{""}
		anywhere = append(anywhere, &x)
	}
	e := electionOf(nodes, a)
	stakes := stakesOf(s, a, anywhere)
	if len(stakes) == 0 {
		return nil
	}
	least := func(not *candidate, load func(node string) int) (best *candidate) {
		for i := range nodes {
			c := new(candidate)
			if why := e.stand(stakes, nil, i, c); why != none || c.standing == lost || not != nil && c.node == not.node {
				continue
			}
			if best == nil || cmp.Or(c.rank(best), cmp.Compare(load(best.node.Name), load(c.node.Name)), c.compare(best)) > 0 {
				best = c
			}
		}
		return best
	}
	first := least(nil, load.First)
	if first == nil {
		return nil
	}
	out := []string{first.node.Name}
	if next := least(first, func(n string) int { return load.Next(first.node.Name, n) }); next != nil {
		out = append(out, next.node.Name)
	}
	return out
}
