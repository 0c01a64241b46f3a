package flows

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// lease is for how long the kernel keeps an entry that is to stay. It is renewed when half of it is over.
const lease = time.Hour

// entry is to whom the packets for an address go, and until when.
type entry struct {
	to    netip.Addr
	until time.Time
}

// table is what the kernel has, by address.
type table map[netip.Addr]entry

// change is what makes one table of another: what is removed, before what is added.
type change struct {
	remove []netip.Addr
	add    []announce.Pass
}

func (c change) empty() bool { return len(c.remove)+len(c.add) == 0 }

// changes are what is to become of all that the kernel has.
type changes struct {
	next, own change
	// aggregates are in place of those that are there, if replace is set.
	aggregates []netip.Prefix
	replace    bool
}

func (c changes) empty() bool { return c.next.empty() && c.own.empty() && !c.replace }

// outermost leaves out prefixes that are in others: the kernel takes none that overlap. They are in order.
func outermost(of []netip.Prefix) (out []netip.Prefix) {
	for _, p := range of {
		if n := len(out); n == 0 || !out[n-1].Overlaps(p) {
			out = append(out, p)
		}
	}
	return out
}

// expire notes what the kernel has removed by itself.
func (t table) expire(now time.Time) {
	maps.DeleteFunc(t, func(_ netip.Addr, e entry) bool { return !e.until.After(now) })
}

// diff returns how to get to what is desired. What the kernel has from a former process, and nothing is desired of, is in left: it
// stays until it expires, as that process knew of connections that this one does not.
func (t table) diff(want []announce.Pass, left map[netip.Addr]bool, now time.Time) change {
	var c change
	wanted := make(map[netip.Addr]bool, len(want))
	for _, p := range want {
		wanted[p.Addr] = true
		if p.Until.IsZero() {
			p.Until = now.Add(lease)
		}
		is, there := t[p.Addr]
		there = there && is.until.After(now)
		if there && is.to == p.To && !is.until.Before(now.Add(min(lease/2, p.Until.Sub(now)))) {
			continue
		}
		if there {
			c.remove = append(c.remove, p.Addr)
		}
		c.add = append(c.add, p)
	}
	for a, is := range t {
		if !wanted[a] && !left[a] && is.until.After(now) {
			c.remove = append(c.remove, a)
		}
	}
	slices.SortFunc(c.remove, netip.Addr.Compare)
	return c
}

// apply notes that a change was made.
func (t table) apply(c change) {
	for _, a := range c.remove {
		delete(t, a)
	}
	for _, p := range c.add {
		t[p.Addr] = entry{p.To, p.Until}
	}
}
