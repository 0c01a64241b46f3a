package ipam

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// queue is who waits, and for what, so that what becomes free is offered to none
// who cannot use it.
type queue struct {
	waiting map[Key]*waiter
	// by has those who wait for the same, first come first.
	by map[wish][]*waiter
}

type waiter struct {
	request Request
	wishes  []wish
}

// wish is something whose coming may help one who waits: a certain address, any
// address of a family of a certain pool or of any, a place among those who share,
// an IPClaim's address, or one address less of its namespace.
type wish struct {
	what   wanted
	addr   netip.Addr
	family config.Family
	name   string
	claim  Key
}

type wanted uint8

const (
	anAddress wanted = iota
	fromNamed
	fromAny
	toShare
	ofClaim
	withinQuota
)

func newQueue() queue {
	return queue{waiting: map[Key]*waiter{}, by: map[wish][]*waiter{}}
}

// wishes returns what could help one who lacks something.
func (st *State) wishes(r *Request, d *Decision) []wish {
	var out []wish
	if d.Foreign {
		for _, a := range r.Shown {
			out = append(out, wish{what: anAddress, addr: a})
		}
		return out
	}
	if d.Reason == InvalidRequest || d.Reason == FamilyMismatch {
		return nil
	}
	if r.Claim != "" {
		out = append(out, wish{what: ofClaim, claim: r.claim()})
	}
	if st.limited {
		out = append(out, wish{what: withinQuota, name: r.Namespace})
	}
	for _, f := range r.Families {
		if _, has := ofFamily(d.Addresses, f); !has || slices.Contains(d.unmet, f) {
			out = append(out, st.wishesFor(r, f)...)
		}
	}
	return out
}

// wishesFor returns what could help one who lacks an address of a family.
func (st *State) wishesFor(r *Request, f config.Family) []wish {
	if r.Claim != "" {
		if a, bound := st.held[r.claim()].keeps(f); bound {
			return []wish{{what: anAddress, addr: a}}
		}
		return nil
	}
	if a, insists := r.wanted(f); insists {
		return []wish{{what: anAddress, addr: a}}
	}
	out := []wish{{what: fromAny, family: f}}
	if r.Pool != "" {
		out[0] = wish{what: fromNamed, family: f, name: r.Pool}
	}
	if r.Sharing != "" {
		out = append(out, wish{what: toShare, name: r.Sharing})
	}
	return out
}

func (r *Request) claim() Key { return Key{r.Namespace, r.Claim, Claim} }

func (q *queue) put(r *Request, want []wish) {
	w, was := q.waiting[r.Key]
	if was && slices.Equal(w.wishes, want) && w.request.compare(r) == 0 {
		w.request = *r
		return
	}
	q.remove(r.Key)
	w = &waiter{*r, want}
	q.waiting[r.Key] = w
	for _, x := range want {
		at, _ := slices.BinarySearchFunc(q.by[x], w, (*waiter).compare)
		q.by[x] = slices.Insert(q.by[x], at, w)
	}
}

func (q *queue) remove(k Key) {
	w, was := q.waiting[k]
	if !was {
		return
	}
	delete(q.waiting, k)
	for _, x := range w.wishes {
		if at, found := slices.BinarySearchFunc(q.by[x], w, (*waiter).compare); found {
			q.by[x] = slices.Delete(q.by[x], at, at+1)
		}
		if len(q.by[x]) == 0 {
			delete(q.by, x)
		}
	}
}

func (w *waiter) compare(o *waiter) int { return w.request.compare(&o.request) }

// next returns the first after one, or the first of all, of those who have one of some wishes.
func (q *queue) next(after *Request, of []wish) *waiter {
	var first *waiter
	for _, x := range of {
		all := q.by[x]
		at := 0
		if after != nil {
			var found bool
			at, found = slices.BinarySearchFunc(all, after, func(w *waiter, r *Request) int { return w.request.compare(r) })
			if found {
				at++
			}
		}
		if at < len(all) && (first == nil || all[at].compare(first) < 0) {
			first = all[at]
		}
	}
	return first
}

func (q *queue) inOrder() []*waiter {
	out := make([]*waiter, 0, len(q.waiting))
	for _, w := range q.waiting {
		out = append(out, w)
	}
	slices.SortFunc(out, (*waiter).compare)
	return out
}
