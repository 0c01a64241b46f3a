package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A Stranger is somebody else who uses an address that this node announces.
type Stranger struct {
	// MAC of the stranger, and the Link of this node on which it was seen.
	MAC, Link string
	// Before: it was found before the address was announced for the first time.
	Before bool
	// Seen is when, last.
	Seen time.Time
}

const (
	// forgetAfter is how long a stranger is remembered that is not seen any more. Who was found before first
	// use is then asked for again, for askFor, which is as long as probing takes.
	forgetAfter = 5 * time.Minute
	askFor      = 5 * time.Second
	// oneOfTwo is how long one who is not seen again is told of, though another is seen: two that claim the address in turns are
	// not told of in turns. Refreshes have both defend it more often.
	oneOfTwo = 2 * time.Minute
	// witnessFor is how long a node that is said to be gone, but was seen to announce, is not taken for it.
	witnessFor = 90 * time.Second
)

// Sighted says that somebody else claims an address that this node answers for. It may be another speaker: if that
// was thought to be gone, it is not, and all speakers then choose the same of the two.
func (a *Agent) Sighted(addr netip.Addr, s Stranger) {
	a.enqueue(func(w *world) {
		if node := w.owner(s.MAC); node != "" {
			a.Duplicate(node)
			w.duplicate(addr, node, s.Seen)
			return
		}
		for _, k := range w.sharers[addr] { // who returns asks for what it has announced before
			s.Before = s.Before && len(kube.Told(w.announced[k], []netip.Addr{addr})) == 0
		}
		before, known := w.strangers[addr]
		s.Before = s.Before || before.Before // what one link has found another does not refute
		asked := !w.asks[addr].IsZero()
		if known && before.MAC != s.MAC && !asked && before.Before == s.Before && s.Seen.Sub(before.Seen) < oneOfTwo {
			return
		}
		w.strangers[addr] = s
		if delete(w.asks, addr); !known || asked || before.MAC != s.MAC || before.Before != s.Before {
			w.reconsider(addr)
		}
	})
}

// duplicate takes the consequences of another node's announcing an address that this one does.
func (w *world) duplicate(a netip.Addr, node string, seen time.Time) {
	if !w.concede(a, node, seen) {
		w.dispute(a, node, seen)
	}
	if w.gossip.Peers[node].Presence != announce.Gone {
		return
	}
	if w.witnessed[node].IsZero() {
		w.changed(true)
		w.retell++
	}
	w.witnessed[node] = seen
}

// reconsider has an address decided about anew.
func (w *world) reconsider(a netip.Addr) {
	for _, k := range w.sharers[a] {
		w.touch(k, a)
	}
}

// owner returns the other node that a MAC belongs to; empty if none.
func (w *world) owner(mac string) string {
	for node, links := range w.others {
		if node != w.self && slices.ContainsFunc(links, func(l announce.Link) bool { return l.MAC.String() == mac }) {
			return node
		}
	}
	return ""
}

// refuse says of an address that this node would announce that a stranger had it before.
func (w *world) refuse(a netip.Addr, of []announce.Announcement) []announce.Announcement {
	s, known := w.strangers[a]
	if !known || !s.Before {
		return of
	}
	for i := range of {
		if of[i].Node == w.self {
			of[i].Reason, of[i].Message = announce.AddressConflict, "it is used by "+s.MAC+", seen on "+s.Link+" before it was announced"
		}
	}
	return of
}

// asking is refuse undone while it is found out whether the stranger is still there.
func (w *world) asking(a netip.Addr, of []announce.Announcement) []announce.Announcement {
	if w.asks[a].IsZero() {
		return of
	}
	out := slices.Clone(of)
	for i := range out {
		if out[i].Reason == announce.AddressConflict {
			out[i].Reason, out[i].Fresh = announce.Announced, true
		}
	}
	return out
}

// until is how long a stranger is remembered if it is not seen again.
func (w *world) until(a netip.Addr) time.Time {
	if at := w.asks[a]; !at.IsZero() {
		return at.Add(askFor)
	}
	return w.strangers[a].Seen.Add(forgetAfter)
}

// forget forgets what was seen long ago, and what is not announced any more.
func (w *world) forget(now time.Time) {
	for a, s := range w.strangers {
		switch {
		case len(w.sharers[a]) > 0 && w.until(a).After(now):
			continue
		case len(w.sharers[a]) > 0 && s.Before && w.asks[a].IsZero():
			w.asks[a] = now
		default:
			delete(w.strangers, a)
			delete(w.asks, a)
		}
		w.reconsider(a)
	}
	if !w.returning.IsZero() && !w.returning.After(now) {
		w.returning = time.Time{}
		clear(w.doubted)
		w.changed(true)
	}
	w.forgetSights(now)
}

// forgetSights forgets which other nodes were seen to announce something.
func (w *world) forgetSights(now time.Time) {
	maps.DeleteFunc(w.disputed, func(_ netip.Addr, first time.Time) bool { return !first.Add(forgetAfter).After(now) })
	for a, s := range w.elsewhere {
		if s.node == w.self && len(w.sharers[a]) > 0 {
			continue
		}
		late := !s.at.Add(witnessFor).After(now)
		if late || w.gossip.Peers[s.node].Presence == announce.Gone && w.witnessed[s.node].IsZero() {
			if delete(w.elsewhere, a); late && s.node != w.self { // it may announce it still: this one asks
				w.doubted[a], w.returning, w.tie = true, now.Add(insist), false
			}
			w.reconsider(a)
		}
	}
	for n, seen := range w.witnessed {
		if !seen.Add(witnessFor).After(now) {
			delete(w.witnessed, n)
			w.changed(true)
		}
	}
}

// recollect returns when there is next something to forget; the zero time if never.
func (w *world) recollect() (next time.Time) {
	next = w.returning
	for a := range w.strangers {
		next = earliest(next, w.until(a))
	}
	for _, s := range w.elsewhere {
		if s.node == w.self {
			continue
		}
		next = earliest(next, s.at.Add(witnessFor))
	}
	for _, seen := range w.witnessed {
		next = earliest(next, seen.Add(witnessFor))
	}
	return next
}
