package ipam

import (
	"net/netip"
	"slices"
)

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
		if why := incompatible(h.key, &h.terms, o.key, &o.terms); why != "" {
			panic("ipam: " + a.String() + " given to " + h.key.String() + ", held by " + o.key.String() + ", " + why)
		}
	}
	if _, taken := st.holders[a]; taken {
		st.joint[a] = append(st.joint[a], h)
	} else {
		st.holders[a] = h
		delete(st.released, a)
		if p == nil {
			st.orphans[a] = st.clock
		}
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
		delete(st.orphans, a)
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

// use applies the terms of a holder.
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
