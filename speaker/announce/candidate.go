package announce

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// candidate is a node that can announce an address.
type candidate struct {
	node     *Node
	standing standing
	// near is 1 where one of the links is on the segment of the address, else 0: on another one nobody asks for it
	// whose network has it.
	near int
	// preference is the sum of the weights of the advertisements that select the node.
	preference int
	// place in the record; past its end if it is not there.
	place int
	// seed of the address, by which nodes have weights, and the weight, 0 before it is worked out.
	seed   seed
	weight uint64
}

// standing is how well a node does. It is a preference, not a filter: an outage of the
// control plane makes every node look unready, and is no reason to fall silent.
type standing int

const (
	lost     standing = iota // nothing is heard of it
	degraded                 // it forwards, as far as is known, but others do better
	healthy
)

// standing of a node; recorded says that it is the one to announce the address.
func (n *Node) standing(recorded bool) standing {
	switch n.Presence {
	case Gone:
		return lost
	case Away:
		// Its kernel forwards what comes in, and others answer for it. It gains nothing.
		if !recorded {
			return lost
		}
	case Unknown:
		if !n.SpeakerReady {
			return lost
		}
	case Alive:
	}
	if !n.Ready || n.Retiring || n.Impaired {
		return degraded
	}
	return healthy
}

// compare says which of two candidates is the better one. What is recorded stays, unless another
// does better or is preferred; where nothing is recorded the highest random weight decides, so
// that all speakers choose the same without a word.
func (c *candidate) compare(o *candidate) int {
	if d := c.rank(o); d != 0 {
		return d
	}
	if c.place != o.place {
		return cmp.Compare(o.place, c.place)
	}
	return cmp.Or(cmp.Compare(c.weigh(), o.weigh()), cmp.Compare(o.node.Name, c.node.Name))
}

// weigh is the candidate's weight, which is worked out when it is needed first: most elections are decided without.
func (c *candidate) weigh() uint64 {
	if c.weight == 0 {
		c.weight = c.seed.weigh(c.node.Name)
	}
	return c.weight
}

// rank is compare but for what is recorded and for chance.
func (c *candidate) rank(o *candidate) int {
	if c.standing == o.standing && c.near == o.near { // as most are
		return c.preference - o.preference
	}
	return cmp.Or(
		cmp.Compare(min(c.standing, degraded), min(o.standing, degraded)),
		cmp.Compare(c.near, o.near),
		cmp.Compare(c.standing, o.standing),
		cmp.Compare(c.preference, o.preference),
	)
}

// stand fills in a candidate, or says why a node cannot announce the address, for all who have a stake in it. It is called for each node and
// address: it allocates nothing, so the links are left to linksFor. Of a kind that is known it has to find out only what is recorded.
func (e *election) stand(stakes []stake, known *ballots, i int, c *candidate) obstacle {
	var why obstacle
	if known != nil {
		*c, why = known.of[i].candidate, known.of[i].why
	} else {
		why = c.suits(stakes, &e.nodes[i], e.addr)
	}
	if why != none {
		return why
	}
	c.seed = e.seed
	if c.place = slices.Index(e.record, c.node.Name); c.place < 0 {
		c.place = len(e.record)
	}
	c.standing = c.node.standing(len(e.record) > 0 && c.place == 0)
	return none
}

// suits fills in what is the same for all addresses of a kind, or says what is in the way.
func (c *candidate) suits(stakes []stake, n *Node, a netip.Addr) obstacle {
	*c = candidate{node: n}
	for i := range stakes {
		if why := c.suit(&stakes[i], a); why != none {
			return why
		}
	}
	return none
}

// suit adds the preference that one Service asks for, or says what is in the way.
func (c *candidate) suit(k *stake, a netip.Addr) obstacle {
	n := c.node
	selected, found := false, false
	for _, l := range k.ads {
		if !l.SelectsNode(n.Labels) {
			continue
		}
		selected = true
		c.preference += l.Preference(n.Labels)
		by := wayOf(l, n.Links, a)
		for i := range n.Links {
			if link := &n.Links[i]; by.takes(l, link, a) {
				found = true
				if link.reaches(a) {
					c.near = 1
				}
			}
		}
	}
	switch {
	case !selected:
		return notSelected
	case n.Excluded:
		return excluded
	case n.NetworkUnavailable:
		return networkUnavailable
	case k.svc.Local && k.svc.on(n.Name) == 0:
		return noLocalEndpoint
	case !found:
		return noLink
	default:
		return none
	}
}

// linksFor returns the links on which a node would announce the address, sorted.
func (e *election) linksFor(stakes []stake, n *Node) []string {
	var out []string
	for _, k := range stakes {
		for _, l := range k.ads {
			if !l.SelectsNode(n.Labels) {
				continue
			}
			by := wayOf(l, n.Links, e.addr)
			for i := range n.Links {
				if by.takes(l, &n.Links[i], e.addr) {
					out = append(out, n.Links[i].Name)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// way is how an advertisement chooses the links of a node on which an address is announced.
type way int

const (
	wayNamed   way = iota // those that it names
	waySegment            // those whose segment has the address
	wayDefault            // those of the default route
)

func wayOf(l *config.L2, links []Link, a netip.Addr) way {
	if !l.AnyInterface() {
		return wayNamed
	}
	for i := range links {
		if links[i].reaches(a) {
			return waySegment
		}
	}
	return wayDefault
}

func (w way) takes(l *config.L2, k *Link, a netip.Addr) bool {
	switch w {
	case wayNamed:
		return l.SelectsInterface(k.Name)
	case waySegment:
		return k.reaches(a)
	default:
		return slices.Contains(k.DefaultRoutes, config.FamilyOf(a))
	}
}
