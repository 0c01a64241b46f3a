package announce

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// candidate is a node that can announce an address.
type candidate struct {
	node *Node
	// links on which it would announce, sorted.
	links    []string
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
	doubtful                 // it forwards, as far as is known, but others do better
	sound
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
		return doubtful
	}
	return sound
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
		cmp.Compare(min(c.standing, doubtful), min(o.standing, doubtful)),
		cmp.Compare(c.near, o.near),
		cmp.Compare(c.standing, o.standing),
		cmp.Compare(c.preference, o.preference),
	)
}

// stand says whether a node can announce the address, for all who have a stake in it.
func (e *election) stand(stakes []stake, n *Node) (*candidate, obstacle) {
	c := &candidate{node: n, place: slices.Index(e.record, n.Name)}
	c.standing = n.standing(c.place == 0)
	if c.place < 0 {
		c.place = len(e.record)
	}
	for i := range stakes {
		if why := c.suit(&stakes[i], e.addr); why != none {
			return nil, why
		}
	}
	if slices.ContainsFunc(n.Links, func(l Link) bool { return l.reaches(e.addr) && slices.Contains(c.links, l.Name) }) {
		c.near = 1
	}
	slices.Sort(c.links)
	c.links = slices.Compact(c.links)
	c.weight = weigh(n.Name, e.addr)
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
