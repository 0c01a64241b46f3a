package ipam

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// Settle decides about a Service or an IPClaim and makes the decision true. What it loses it
// goes on holding until Left says that nobody sees it any more; what it lacks it waits for.
func (st *State) Settle(r Request) Decision {
	d := st.settle(&r)
	st.serve()
	return d
}

func (st *State) settle(r *Request) Decision {
	if r.Reserved {
		return st.reserve(r)
	}
	r.Unread = r.Invalid != ""
	r.forgetConflicts(st.has(r))
	d := Decide(st, *r)
	if !d.Foreign {
		st.commit(r, &d)
		st.contest(r)
		r.forgetConflicts(d.Addresses)
	}
	if d.Reason == Assigned {
		st.queue.remove(r.Key)
	} else {
		st.queue.put(r, st.wishes(r, &d))
	}
	return d
}

// Load returns the State of a cluster that is running: first everything that is shown is
// adopted, of two who cannot share it by the senior, then the rest is decided, claims and
// explicit requests first, then the older.
func Load(s *config.Snapshot, requests []Request) *State {
	st := New(s)
	st.adoptAll(requests)
	slices.SortFunc(requests, func(a, b Request) int { return a.compare(&b) })
	for i := range requests {
		st.Settle(requests[i])
	}
	return st
}

// adoptAll has those who show addresses hold them, the senior first.
func (st *State) adoptAll(requests []Request) {
	slices.SortFunc(requests, compareSenior)
	for i := range requests {
		st.Adopt(requests[i])
	}
}

// Adopt makes one the holder of the addresses that it shows, as far as they belong to a
// pool and nobody who holds them objects.
func (st *State) Adopt(r Request) {
	r.Unread = r.Invalid != ""
	if r.Reserved {
		st.reserve(&r)
		return
	}
	if !r.Marked {
		if _, foreign := st.foreign(&r); foreign {
			return
		}
	}
	var keep []netip.Addr
	for _, a := range r.Shown {
		if st.adoptable(&r, a) && !slices.Contains(keep, a) {
			keep = append(keep, a)
		}
	}
	st.commit(&r, &Decision{Addresses: keep})
}

// reserve has one whom another implementation serves hold what it shows, so that nobody else is given it. What belongs to
// no pool may later.
func (st *State) reserve(r *Request) Decision {
	var keep []netip.Addr
	for _, a := range r.Shown {
		if st.poolOf(a) != nil && st.adoptable(r, a) && !slices.Contains(keep, a) {
			keep = append(keep, a)
		}
	}
	st.commit(r, &Decision{Addresses: keep})
	st.Left(r.Key, slices.Clone(st.Leaving(r.Key)))
	if len(keep) < len(r.Shown) {
		st.queue.put(r, nil)
	} else {
		st.queue.remove(r.Key)
	}
	return Decision{Addresses: keep, Reason: ForeignAddress, Foreign: true}
}

func (st *State) adoptable(r *Request, a netip.Addr) bool {
	for h := range st.on(a) {
		if h.key != r.Key && incompatible(r.Key, &r.Terms, h.key, &h.terms) != "" {
			return false
		}
	}
	return true
}

// Left says that one does not show some addresses any more that it has lost: they become
// free, and are given to those who wait.
func (st *State) Left(k Key, lost []netip.Addr) {
	h := st.held[k]
	if h == nil {
		return
	}
	now := less(h.addrs, lost)
	still := less(h.addrs[len(h.addrs)-h.left:], lost)
	gone := less(h.addrs, now)
	h.addrs, h.left = now, len(still)
	for _, a := range gone {
		st.drop(h, a)
	}
	st.forget(h)
	st.serve()
}

// Release takes everything from one who is gone or no longer ours, and shows nothing of ours.
func (st *State) Release(k Key) {
	st.queue.remove(k)
	if k.Kind == Claim {
		st.ask(st.users[k]...)
	}
	h := st.held[k]
	if h == nil {
		return
	}
	st.use(h, &Terms{})
	st.Left(k, h.addrs)
}

// commit makes a decision true, but for what others gain by it.
func (st *State) commit(r *Request, d *Decision) {
	h := st.held[r.Key]
	if h == nil {
		if len(d.Addresses) == 0 && r.Claim == "" {
			if _, known := st.queue.waiting[r.Key]; !known {
				st.ask(st.users[r.Key]...) // a claim that they name exists now
			}
			return
		}
		h = st.newHolding(r.Key)
	}
	had, left := h.addrs, h.left
	changed := !h.terms.equal(&r.Terms)
	if changed {
		st.use(h, &r.Terms)
	}
	if !slices.Equal(had, d.Addresses) || h.left > 0 {
		leaving := less(had, d.Addresses)
		h.addrs = d.Addresses
		if len(leaving) > 0 {
			h.addrs = append(slices.Clone(d.Addresses), leaving...)
		}
		h.left = len(leaving)
		for _, a := range d.Addresses {
			if !slices.Contains(had, a) {
				st.hold(h, a)
			}
		}
		changed = changed || h.left != left || !slices.Equal(h.addrs, had)
	}
	if changed {
		st.tell(h)
	}
	st.forget(h)
}

func less(a, b []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}
