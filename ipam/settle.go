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
	slices.SortFunc(requests, compareSenior)
	for i := range requests {
		st.Adopt(requests[i])
	}
	slices.SortFunc(requests, func(a, b Request) int { return a.compare(&b) })
	for i := range requests {
		st.Settle(requests[i])
	}
	return st
}

// Adopt makes one the holder of the addresses that it shows, as far as they belong to a
// pool and nobody who holds them objects.
func (st *State) Adopt(r Request) {
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

func (st *State) adoptable(r *Request, a netip.Addr) bool {
	if st.poolOf(a) == nil {
		return false
	}
	for h := range st.on(a) {
		if h.key != r.Key && objection(r.Key, &r.Terms, h.key, &h.terms) != "" {
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

// tell has those looked at whom the changed terms or addresses of a holder concern: who
// cannot share with it any more, and who may now.
func (st *State) tell(h *holding) {
	if h.key.Kind == Claim {
		st.ask(st.users[h.key]...)
	}
	if h.terms.Claim != "" {
		st.askWaiting(Key{h.key.Namespace, h.terms.Claim, Claim})
	}
	st.askWishes(wish{what: toShare, name: h.terms.Sharing})
	for _, a := range h.addrs {
		st.askWishes(wish{what: anAddress, addr: a})
		for o := range st.on(a) {
			if o != h && senior(h.key, o.key, &h.terms, &o.terms) && objection(o.key, &o.terms, h.key, &h.terms) != "" {
				st.others[o.key] = true
			}
		}
	}
}

// ask has some looked at again.
func (st *State) ask(keys ...Key) {
	for _, k := range keys {
		st.others[k] = true
	}
}

func (st *State) askWaiting(k Key) {
	if _, waits := st.queue.waiting[k]; waits {
		st.others[k] = true
	}
}

func (st *State) askWishes(x wish) {
	for _, w := range st.queue.by[x] {
		st.others[w.request.Key] = true
	}
}

// hold makes one a holder of an address that it does not hold.
func (st *State) hold(h *holding, a netip.Addr) {
	p := st.poolOf(a)
	for o := range st.on(a) {
		if why := objection(h.key, &h.terms, o.key, &o.terms); why != "" {
			panic("ipam: " + a.String() + " given to " + h.key.String() + ", held by " + o.key.String() + ", " + why)
		}
	}
	if _, taken := st.holders[a]; taken {
		st.joint[a] = append(st.joint[a], h)
	} else {
		st.holders[a] = h
		delete(st.released, a)
		if p != nil {
			f := p.of(a)
			f.held++
			f.leaveApart(a)
			f.settle(st)
			st.touch(p)
		}
	}
	if p != nil {
		st.count(p, h, a, 1)
	}
	st.group(h, a)
}

// drop ends the hold of one on an address, which it has removed from its own already.
func (st *State) drop(h *holding, a netip.Addr) {
	p := st.poolOf(a)
	if p != nil {
		st.count(p, h, a, -1)
		if len(st.queue.waiting) > 0 {
			st.vacant = append(st.vacant, vacancy{a, h.key.Namespace})
		}
	}
	if others := st.joint[a]; len(others) > 0 {
		if st.holders[a] == h {
			st.holders[a], others = others[0], others[1:]
		} else {
			others = slices.DeleteFunc(slices.Clone(others), func(o *holding) bool { return o == h })
		}
		if st.joint[a] = others; len(others) == 0 {
			delete(st.joint, a)
		}
		st.askWishes(wish{what: anAddress, addr: a})
		for o := range st.on(a) {
			st.askWishes(wish{what: toShare, name: o.terms.Sharing})
			st.askWaiting(Key{o.key.Namespace, o.terms.Claim, Claim}) // it may take the address over now
		}
	} else {
		delete(st.holders, a)
		st.free(p, a)
	}
	st.ungroup(h.terms.Sharing, a)
}

func (st *State) free(p *pool, a netip.Addr) {
	if _, apart := st.quarantine[a]; p == nil && !apart {
		return
	}
	st.clock++
	st.released[a] = st.clock
	if p == nil {
		return // a pool that is made meanwhile finds it quarantined
	}
	f := p.of(a)
	f.held--
	st.requeue(f, a, st.clock)
	f.settle(st)
	st.touch(p)
}

// use puts the terms of a holder in force.
func (st *State) use(h *holding, t *Terms) {
	before := h.terms
	h.terms = *t
	for _, a := range h.addrs {
		st.ungroup(before.Sharing, a)
		st.group(h, a)
	}
	if before.Claim == t.Claim {
		return
	}
	if before.Claim != "" {
		k := Key{h.key.Namespace, before.Claim, Claim}
		if at, found := slices.BinarySearchFunc(st.users[k], h.key, Key.compare); found {
			st.users[k] = slices.Delete(st.users[k], at, at+1)
		}
		if len(st.users[k]) == 0 {
			delete(st.users, k)
		}
		st.others[k] = true
	}
	if t.Claim != "" {
		k := Key{h.key.Namespace, t.Claim, Claim}
		at, _ := slices.BinarySearchFunc(st.users[k], h.key, Key.compare)
		st.users[k] = slices.Insert(st.users[k], at, h.key)
		st.others[k] = true
	}
}

func (st *State) group(h *holding, a netip.Addr) {
	if k := h.terms.Sharing; k != "" && !slices.Contains(st.groups[k], a) {
		st.groups[k] = append(st.groups[k], a)
	}
}

// ungroup removes an address from a group if none of its holders belongs to it.
func (st *State) ungroup(key string, a netip.Addr) {
	if key == "" {
		return
	}
	for h := range st.on(a) {
		if h.terms.Sharing == key {
			return
		}
	}
	st.groups[key] = slices.DeleteFunc(st.groups[key], func(x netip.Addr) bool { return x == a })
	if len(st.groups[key]) == 0 {
		delete(st.groups, key)
	}
}

// slab is how many holdings are made at once.
const slab = 64

func (st *State) newHolding(k Key) *holding {
	if len(st.spare) == 0 {
		st.spare = make([]holding, slab)
	}
	h := &st.spare[0]
	st.spare = st.spare[1:]
	h.key = k
	st.held[k] = h
	return h
}

// forget drops a holding that says nothing.
func (st *State) forget(h *holding) {
	if len(h.addrs) == 0 && h.terms.Claim == "" {
		delete(st.held, h.key)
	}
}

// vacancy is an address that one namespace holds no more.
type vacancy struct {
	addr      netip.Addr
	namespace string
}

// serve offers what became free to those who wait for it, until nothing more comes of it.
func (st *State) serve() {
	for len(st.vacant) > 0 {
		vacant := st.vacant
		st.vacant = nil
		for _, v := range vacant {
			st.offer(v)
		}
	}
}

// offer decides about those who could use a vacancy, first come first served.
func (st *State) offer(v vacancy) {
	p := st.poolOf(v.addr)
	if p == nil {
		return
	}
	f := config.FamilyOf(v.addr)
	st.each([]wish{
		{what: anAddress, addr: v.addr},
		{what: fromNamed, family: f, name: p.config.Name},
		{what: fromAny, family: f},
	}, func(r *Request) (again bool) {
		if _, taken := st.holders[v.addr]; taken {
			return false
		}
		_, insists := r.wanted(f)
		if insists || !rests(p.of(v.addr), st.clock) && (r.Pool != "" || p.offers(r)) {
			st.serveOne(r)
		}
		return true
	})
	if p.config.Quota > 0 {
		st.each([]wish{{what: withinQuota, name: v.namespace}}, func(r *Request) bool {
			st.serveOne(r)
			return true
		})
	}
}

// each calls for those who have one of some wishes, first come first, while it is told to go on.
func (st *State) each(of []wish, do func(*Request) bool) {
	var last *Request
	for {
		w := st.queue.next(last, of)
		if w == nil {
			return
		}
		r := w.request
		if last = &r; !do(&r) {
			return
		}
	}
}

func (st *State) serveOne(r *Request) {
	before := st.Held(r.Key)
	if st.settle(r); !slices.Equal(before, st.Held(r.Key)) {
		st.others[r.Key] = true
	}
}

// rests reports whether a list has nothing to give yet.
func rests(f *freeList, now int64) bool {
	a, _ := f.first(now)
	return !a.IsValid()
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
