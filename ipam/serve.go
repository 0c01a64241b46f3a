package ipam

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

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
		if insists || !cools(p.of(v.addr), st.clock) && (r.Pool != "" || p.offers(r)) {
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

// each calls for those who have one of some wishes, first come first, while it returns true.
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

// cools reports whether a list has nothing to give yet.
func cools(f *freeList, now int64) bool {
	a, _ := f.first(now)
	return !a.IsValid()
}
