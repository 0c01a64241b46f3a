package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// What becomes of a node that was cut off and returns: others have taken over what it announced, and have
// recorded that, but its watches may need a minute to tell. So it does not insist: it asks the
// neighbours before it claims, and leaves to the others what they are seen to announce.

// Nor does a node insist that announces what another goes on announcing, as one of the two has not heard of something.

const (
	// insist is how long it does not.
	insist = 10 * time.Second
	// quarrel is how long both of two nodes may announce an address: longer than a hand-over takes. After that one gives way
	// as soon as it sees the other again, which is once a minute.
	quarrel = 10 * time.Second
)

// sight is another node that was seen to announce an address.
type sight struct {
	node string
	at   time.Time
}

// isolated reports whether no link leads to the other nodes: to the segment of this node's address, or on.
func isolated(links []link.Link, self netip.Addr) bool {
	return !slices.ContainsFunc(links, func(l link.Link) bool {
		return l.Default4 && self.Is4() || l.Default6 && self.Is6() ||
			slices.ContainsFunc(l.Subnets, func(p netip.Prefix) bool { return p.Contains(self) })
	})
}

// isolate notes whether this node is cut off, by its own links. One whose address never was on any
// of them is reached in another way, and not cut off.
func (w *world) isolate(now time.Time) {
	was, is := w.isolated, isolated(w.links, w.nodes[w.self].Address)
	w.linked = w.linked || !is
	if w.isolated = w.linked && is; was && !w.isolated {
		w.returns(now, false)
	}
}

// returns notes that this node was cut off from half of all nodes or more.
func (w *world) returns(now time.Time, tie bool) {
	w.returning, w.tie, w.doubt = now.Add(insist), tie, true
	maps.DeleteFunc(w.elsewhere, func(_ netip.Addr, s sight) bool { return s.node == w.self })
}

// dispute notes that another node announces an address too, and that neither has just returned. Of two that go on, the
// one with the last name gives way.
func (w *world) dispute(a netip.Addr, node string, now time.Time) {
	if w.self < node || w.gossip.Peers[node].Presence == announce.Gone {
		return
	}
	first, disputed := w.disputed[a]
	if !disputed {
		w.disputed[a] = now
	} else if now.Sub(first) >= quarrel {
		w.leave(a, node, now)
	}
}

// doubts notes which addresses a node that has just returned announces; others may do so by now.
func (w *world) doubts(tasks map[netip.Addr]announce.Task) {
	if !w.doubt {
		return
	}
	w.doubt = false
	clear(w.doubted)
	for a, t := range tasks {
		if t.Mode.Announced() {
			w.doubted[a] = true
		}
	}
}

// heal notes that nodes are back that were gone. Who could see more than half of all nodes meanwhile tells the neighbours
// again what it announces; who could see less has perhaps been replaced, and does not insist. Of two
// that could see half, the one with the first name goes before.
func (w *world) heal(now time.Time) {
	if now.Before(w.returning) && !w.tie {
		return
	}
	gone := 0
	for _, p := range w.gossip.Peers {
		if p.Presence == announce.Gone {
			gone++
		}
	}
	all := len(w.gossip.Peers) + 1
	if 2*gone >= all {
		w.returns(now, 2*gone == all)
	}
	if 2*gone <= all {
		w.retell++
	}
}

// concede leaves an address to another node that is seen to announce it, if it is doubted, and reports whether it did.
func (w *world) concede(a netip.Addr, node string, now time.Time) bool {
	if !w.doubted[a] || w.tie && w.self < node || w.elsewhere[a].node == w.self {
		return false
	}
	w.leave(a, node, now)
	return true
}

func (w *world) leave(a netip.Addr, node string, now time.Time) {
	delete(w.doubted, a)
	delete(w.disputed, a)
	w.elsewhere[a] = sight{node, now}
	w.reconsider(a)
}

// gained remembers that this node announces an address in place of one that is gone, until something else is
// recorded than was: should the other return before that is written, nothing moves back.
func (w *world) gained(a netip.Addr, of []announce.Announcement, now time.Time) {
	s := w.services[of[0].Service]
	r := s.Record()[a]
	if len(r) > 0 && r[0] != w.self && w.gossip.Peers[r[0]].Presence == announce.Gone {
		w.elsewhere[a] = sight{w.self, now}
	}
}

// recordOf returns what is recorded of a Service's addresses, as far as it has not been seen to be outdated.
func (w *world) recordOf(s *kube.Service) map[netip.Addr][]string {
	out := s.Record()
	for _, a := range s.Shown {
		seen, ok := w.elsewhere[a]
		if !ok {
			continue
		}
		if out == nil {
			out = map[netip.Addr][]string{}
		}
		rest := slices.DeleteFunc(slices.Clone(out[a]), func(n string) bool { return n == seen.node })
		out[a] = append([]string{seen.node}, rest...)
	}
	return out
}
