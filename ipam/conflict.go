package ipam

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Quarantine is how long an address is given to nobody who does not ask for it, after a
// Service reported that a conflicting host uses it: a host that is not of this cluster.
const Quarantine = 10 * time.Minute

// forgetConflicts leaves of the conflicts of a Service those of addresses that it has, or has not
// learned yet that it has lost: what is reported otherwise is over.
func (r *Request) forgetConflicts(has []netip.Addr) {
	if len(r.Conflicts) > 0 {
		r.Conflicts = slices.DeleteFunc(slices.Clone(r.Conflicts), func(a netip.Addr) bool { return !slices.Contains(has, a) })
	}
}

func (r *Request) contests(a netip.Addr) bool { return slices.Contains(r.Conflicts, a) }

// shunned reports whether an address must not be given to a Service that does not ask for it.
func (st *State) shunned(r *Request, a netip.Addr) bool {
	_, quarantined := st.quarantine[a]
	return quarantined || r.contests(a)
}

// contest quarantines what one holds, or leaves, and a conflicting host uses.
func (st *State) contest(r *Request) {
	for _, a := range r.Conflicts {
		if slices.Contains(st.Held(r.Key), a) {
			st.quarantine[a] = st.clock + int64(Quarantine)
		}
	}
}

// discharge ends quarantines that are over.
func (st *State) discharge() {
	var over []netip.Addr
	for a, until := range st.quarantine {
		if until <= st.clock {
			over = append(over, a)
		}
	}
	slices.SortFunc(over, func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(st.quarantine[a], st.quarantine[b]), a.Compare(b))
	})
	for _, a := range over {
		delete(st.quarantine, a)
		for h := range st.on(a) {
			st.askWishes(wish{what: toShare, name: h.terms.Sharing})
		}
		p := st.poolOf(a)
		if p == nil || !p.of(a).rejoin(a) {
			continue
		}
		p.of(a).settle(st)
		if len(st.queue.waiting) > 0 {
			st.vacant = append(st.vacant, vacancy{addr: a})
		}
	}
}

// quarantined is a released address that is not in the queue for that long.
type quarantined struct {
	releasedAt
	until int64
}

// rejoin puts an address into the queue whose quarantine is over, as if it had always been there.
func (f *freeList) rejoin(a netip.Addr) bool {
	i := slices.IndexFunc(f.apart, func(q quarantined) bool { return q.addr == a })
	if i < 0 {
		return false
	}
	r := f.apart[i].releasedAt
	f.apart = slices.Delete(f.apart, i, i+1)
	at, _ := slices.BinarySearchFunc(f.queue[f.head:], r, func(a, b releasedAt) int { return cmp.Compare(a.when, b.when) })
	f.queue = slices.Insert(f.queue, f.head+at, r)
	return true
}

// leaveApart forgets a quarantined address: it is held.
func (f *freeList) leaveApart(a netip.Addr) {
	f.apart = slices.DeleteFunc(f.apart, func(q quarantined) bool { return q.addr == a })
}

// earliest returns how long until the first address is out of quarantine and has rested, or 0.
func (f *freeList) earliest(now int64) (wait time.Duration) {
	for _, q := range f.apart {
		w := time.Duration(max(q.until, q.when+int64(f.pool.config.Cooldown)) - now)
		if wait == 0 || w < wait {
			wait = max(w, 1)
		}
	}
	return wait
}
