package announce

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/config"
)

// A Decider decides about addresses, with one configuration and the same nodes. Most addresses are of few kinds, whose candidates are the same
// but for what is recorded and for chance; it works those out once. One goroutine may use it.
type Decider struct {
	snapshot *config.Snapshot
	nodes    []Node
	// subnets that the nodes are attached to, each once, and what is known of the kinds, by layer 2 and by BGP; nil where nothing is to be
	// remembered.
	subnets []netip.Prefix
	known   map[kind]*ballots
	routed  map[routedKind]Reach
	// at is where in nodes each is.
	at map[string]int
}

// kind is what addresses have in common whose candidates are.
type kind struct {
	first, second *config.L2 // the advertisements; second is nil if there is one
	subnets       uint64     // a bit for each that has the address
	family        config.Family
}

// ballots are those of all nodes, for one kind.
type ballots struct {
	of []ballot
	// top is a candidate than whom none has a higher rank where nothing is recorded; without a node if there is none.
	top candidate
}

// ballot is one node's: the candidate as far as it is the same for a kind, or what is in the way.
type ballot struct {
	candidate candidate
	why       obstacle
}

// few is up to how many addresses it costs more to remember kinds than it saves.
const few = 8

// NewDecider returns a Decider, for about so many addresses.
func NewDecider(s *config.Snapshot, nodes []Node, addresses int) *Decider {
	d := &Decider{snapshot: s, nodes: nodes}
	if addresses <= few {
		return d
	}
	d.routed = map[routedKind]Reach{}
	seen := map[netip.Prefix]bool{}
	for i := range nodes {
		for _, l := range nodes[i].Links {
			for _, p := range l.Subnets {
				if !seen[p] {
					seen[p], d.subnets = true, append(d.subnets, p)
				}
			}
		}
	}
	if len(d.subnets) <= 64 { // or kind has no room for them
		d.known, d.at = map[kind]*ballots{}, make(map[string]int, len(nodes))
		for i := range nodes {
			d.at[nodes[i].Name] = i
		}
	}
	return d
}

// ballots returns what is known of the candidates for an address; nil if it is to be found out for each. Endpoints matter to Services of policy
// Local, and each Service has its own.
func (d *Decider) ballots(stakes []stake, a netip.Addr) *ballots {
	if d == nil || d.known == nil || len(stakes) != 1 || stakes[0].svc.Local || len(stakes[0].ads) > 2 {
		return nil
	}
	k := kind{first: stakes[0].ads[0], family: config.FamilyOf(a)}
	if len(stakes[0].ads) == 2 {
		k.second = stakes[0].ads[1]
	}
	for i, p := range d.subnets {
		if p.Contains(a) {
			k.subnets |= 1 << i
		}
	}
	all, known := d.known[k]
	if !known {
		all = &ballots{of: make([]ballot, len(d.nodes))}
		for i := range d.nodes {
			b := &all.of[i]
			if b.why = b.candidate.suits(stakes, &d.nodes[i], a); b.why != none {
				continue
			}
			c := b.candidate
			if c.standing = c.node.standing(false); all.top.node == nil || c.rank(&all.top) > 0 {
				all.top = c
			}
		}
		d.known[k] = all
	}
	return all
}
