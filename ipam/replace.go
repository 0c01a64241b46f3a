package ipam

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/config"
)

// replace returns the address that one has in place of another that it holds and should not: make before break. Where there
// is none to have, it keeps what it holds, waits, and says why. It gives up an address without having another only where that is
// the way to it: where who waits for the one holds the other.
func (st *State) replace(r *Request, f config.Family, a netip.Addr, why flaw, d *Decision) netip.Addr {
	if why.kind == sound || d.unreadable() {
		return a
	}
	if rest := st.mourning(a); why.kind == poolless && rest > 0 {
		d.retry(rest)
		d.unmet = append(d.unmet, f)
		d.faultf(NoPool, "%s belongs to no pool any more; another takes its place in %s unless a pool has it again by then", a, PoolGrace)
		return a
	}
	b, reason, message := st.choose(r, f, d)
	if reason == Assigned {
		d.losef("%s: %s", a, why.text)
		d.replaced = append(d.replaced, b)
		return b
	}
	d.unmet = append(d.unmet, f)
	switch why.kind {
	case poolless:
		d.faultf(reason, "%s belongs to no pool any more, and there is no other to give: %s", a, message)
	case contested:
		d.faultf(AddressConflict, "%s is also used by another host (see condition fairlead.io/AddressConflict), and there is no other to give: %s", a, message)
	case unwanted, sound:
		d.faultf(reason, "%s", message)
		if reason == AddressInUse && st.swaps(r, f, a) {
			d.losef("%s: %s", a, why.text)
			return netip.Addr{}
		}
	}
	return a
}

// longestSwap is how many may exchange their addresses with each other.
const longestSwap = 64

// swaps reports whether giving up an address is the way to the one that is asked for: who is first in line for the former holds the
// latter, or holds what another wants who does, and so on. Two Services that ask for each other's addresses
// would else wait for ever.
func (st *State) swaps(r *Request, f config.Family, a netip.Addr) bool {
	if st.soleHolder(a) == nil {
		return false
	}
	x, insists := r.wanted(f)
	if first := st.queue.next(nil, []wish{{what: anAddress, addr: x}}); !insists || first != nil && r.compare(&first.request) > 0 {
		return false
	}
	for range longestSwap {
		h := st.soleHolder(x)
		if h == nil {
			return false
		}
		w := st.queue.waiting[h.key]
		if w == nil || h.key == r.Key {
			return false
		}
		y, insists := w.request.wanted(f)
		if !insists || y == x || st.queue.next(nil, []wish{{what: anAddress, addr: y}}) != w {
			return false
		}
		if why, _ := st.claimable(&w.request, y); why != AddressInUse {
			return false
		}
		if y == a {
			return true
		}
		x = y
	}
	return false
}

// soleHolder returns who alone holds an address, and is not leaving it.
func (st *State) soleHolder(a netip.Addr) *holding {
	h := st.holders[a]
	if h == nil || len(st.joint[a]) > 0 || h.leaves(a) {
		return nil
	}
	return h
}
