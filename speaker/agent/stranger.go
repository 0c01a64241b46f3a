package agent

import (
	"net/netip"
	"slices"
	"time"

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
	// use is then looked for again.
	forgetAfter = 5 * time.Minute
	// witnessFor is how long a node that is said to be gone, but was seen to announce, is not taken for it.
	witnessFor = 90 * time.Second
)

// Sighted says that somebody else claims an address that this node answers for. It may be another speaker: if that
// was thought to be gone, it is not, and all speakers then choose the same of the two.
func (a *Agent) Sighted(addr netip.Addr, s Stranger) {
	a.enqueue(func(w *world) {
		if node := w.owner(s.MAC); node != "" {
			a.Duplicate(node)
			if w.gossip.Peers[node].Presence == announce.Gone {
				w.changed(w.witnessed[node].IsZero())
				w.witnessed[node] = s.Seen
				w.retell++
			}
			return
		}
		before, known := w.strangers[addr]
		s.Before = s.Before || before.Before // what one link has found another does not refute
		w.strangers[addr] = s
		if !known || before.MAC != s.MAC || before.Before != s.Before {
			for _, k := range w.sharers[addr] {
				w.touch(k, addr)
			}
		}
	})
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

// forget forgets what was seen long ago, and what is not announced any more.
func (w *world) forget(now time.Time) {
	for a, s := range w.strangers {
		switch {
		case len(w.sharers[a]) == 0:
			delete(w.strangers, a)
		case !s.Seen.Add(forgetAfter).After(now):
			delete(w.strangers, a)
			for _, k := range w.sharers[a] {
				w.touch(k, a)
			}
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
	for _, s := range w.strangers {
		next = earliest(next, s.Seen.Add(forgetAfter))
	}
	for _, seen := range w.witnessed {
		next = earliest(next, seen.Add(witnessFor))
	}
	return next
}
