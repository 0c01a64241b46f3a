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
	place  int
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
	return cmp.Or(
		c.rank(o),
		cmp.Compare(o.place, c.place),
		cmp.Compare(c.weight, o.weight),
		cmp.Compare(o.node.Name, c.node.Name),
	)
}

// rank is compare but for what is recorded and for chance.
func (c *candidate) rank(o *candidate) int {
	return cmp.Or(
		cmp.Compare(min(c.standing, degraded), min(o.standing, degraded)),
		cmp.Compare(c.near, o.near),
		cmp.Compare(c.standing, o.standing),
		cmp.Compare(c.preference, o.preference),
	)
}

// stand fills in a candidate, or says why a node cannot announce the address, for all who have a stake in it. It is called for each node and
// address: it allocates nothing, so the links are left to linksFor.
func (e *election) stand(stakes []stake, n *Node, c *candidate) obstacle {
	*c = candidate{node: n, place: slices.Index(e.record, n.Name)}
	c.standing = n.standing(c.place == 0)
	if c.place < 0 {
		c.place = len(e.record)
	}
	for i := range stakes {
		if why := c.suit(&stakes[i], e.addr); why != none {
			return why
		}
	}
	c.weight = e.seed.weigh(n.Name)
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
	case k.svc.Local && k.svc.Endpoints[n.Name] == 0:
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
