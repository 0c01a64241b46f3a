package ipam

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// State says who holds which address and who waits for one. It is a value with
// one owner: its methods may not run at the same time.
type State struct {
	snapshot *config.Snapshot
	// holders and held are each other's inverse. An address that several share has the
	// others in joint.
	holders map[netip.Addr]*holding
	joint   map[netip.Addr][]*holding
	held    map[Key]*holding
	// groups are the addresses whose holders have a sharing key; users are the Services
	// that name an IPClaim.
	groups map[string][]netip.Addr
	users  map[Key][]Key
	// released says when free addresses were let go. An address that is not in it was
	// never used, as far as is known.
	released map[netip.Addr]int64
	// quarantine says until when addresses are given to nobody who does not ask for them, as
	// a conflicting host uses them.
	quarantine map[netip.Addr]int64
	// orphans says since when an address is held that belongs to no pool.
	orphans map[netip.Addr]int64
	// clock is the time, in nanoseconds since some moment; it passes with every release.
	clock int64

	pools map[string]*pool
	// order is the sequence in which pools are tried: priority, then name.
	order []*pool
	// open are the pools that give addresses of a family to who asks for none.
	open       [2]set
	admissions map[string]admission
	// resting are the lists of pools with a cool-down.
	resting []*freeList
	// limited: some pool has a quota.
	limited bool

	queue queue
	// vacant are addresses that became free and were not offered yet.
	vacant []vacancy
	// others are those about whom something has changed through somebody else.
	others map[Key]bool
	// touched are the pools whose use has changed.
	touched []*pool
	// spare are holdings not in use: to make them one by one costs more.
	spare []holding
	// room is for the addresses of decisions to come.
	room []netip.Addr
}

// New returns a State in which nobody holds anything.
func New(s *config.Snapshot) *State {
	st := &State{
		holders:  map[netip.Addr]*holding{},
		joint:    map[netip.Addr][]*holding{},
		held:     map[Key]*holding{},
		groups:   map[string][]netip.Addr{},
		users:    map[Key][]Key{},
		released: map[netip.Addr]int64{},

		quarantine: map[netip.Addr]int64{},
		orphans:    map[netip.Addr]int64{},

		queue:  newQueue(),
		others: map[Key]bool{},
	}
	st.configure(s)
	return st
}

// Reconfigure applies a new configuration. Holders keep their addresses
// until the next decision about them. Those who have an address that belongs to
// another pool than before, or to none, and those who wait, are among the Others.
func (st *State) Reconfigure(s *config.Snapshot) {
	before := st.snapshot
	if s.SameAddresses(before) {
		st.adjust(s)
	} else {
		st.configure(s)
		st.orphan(before)
		for a := range st.holders {
			if nameOf(before.PoolOf(a)) == nameOf(s.PoolOf(a)) {
				continue
			}
			for h := range st.on(a) {
				st.others[h.key] = true
			}
		}
	}
	st.adoptAll(st.unadopted())
	st.askAgain(func(*Request) bool { return true })
}

// unadopted returns those who show what they do not hold, as it belonged to no pool.
func (st *State) unadopted() []Request {
	var out []Request
	for _, w := range st.queue.inOrder() {
		if r := w.request; r.Reserved || !r.Marked && len(r.Shown) > 0 && len(st.Held(r.Key)) == 0 {
			out = append(out, r)
		}
	}
	return out
}

// Relabel applies the labels of a namespace to its Services that wait: they may have
// opened a pool to them.
func (st *State) Relabel(namespace string, labels map[string]string) {
	for _, w := range st.queue.waiting {
		if w.request.Namespace == namespace {
			w.request.NamespaceLabels = labels
		}
	}
	st.askAgain(func(r *Request) bool { return r.Namespace == namespace })
}

// askAgain decides about some who wait, first come first served.
func (st *State) askAgain(about func(*Request) bool) {
	for _, w := range st.queue.inOrder() {
		if about(&w.request) {
			st.others[w.request.Key] = true
			st.settle(&w.request)
		}
	}
	st.serve()
}

// adjust replaces the configuration of pools that have the addresses that they had.
func (st *State) adjust(s *config.Snapshot) {
	st.snapshot = s
	for _, c := range s.Pools() {
		st.pools[c.Name].config = c
	}
	st.arrange()
}

// configure makes the pools again, with what is held and what was released.
func (st *State) configure(s *config.Snapshot) {
	st.snapshot = s
	st.pools = make(map[string]*pool, len(s.Pools()))
	st.order = st.order[:0]
	for _, c := range s.Pools() {
		p := newPool(c)
		st.pools[c.Name] = p
		st.order = append(st.order, p)
	}
	for a := range st.holders {
		if p := st.poolOf(a); p != nil {
			p.of(a).held++
		}
	}
	for a, when := range st.released {
		if p := st.poolOf(a); p != nil {
			st.requeue(p.of(a), a, when)
		}
	}
	for _, p := range st.order {
		for _, f := range p.families {
			if f != nil {
				f.sortQueue()
			}
		}
	}
	st.arrange()
}

// arrange derives what depends on the configuration of all pools.
func (st *State) arrange() {
	slices.SortFunc(st.order, func(a, b *pool) int {
		return cmp.Or(cmp.Compare(a.config.Priority, b.config.Priority), cmp.Compare(a.config.Name, b.config.Name))
	})
	st.open = [2]set{newSet(len(st.order)), newSet(len(st.order))}
	st.admissions = map[string]admission{}
	st.touched, st.resting = nil, nil
	for i, p := range st.order {
		p.index, p.touched = i, false
		st.touch(p)
		for _, f := range p.families {
			if f == nil {
				continue
			}
			f.settle(st)
			if p.config.Cooldown > 0 {
				st.resting = append(st.resting, f)
			}
		}
	}
	st.recount()
}

func nameOf(p *config.Pool) string {
	if p == nil {
		return ""
	}
	return p.Name
}

// Advance tells the State what time it is, as a distance from some moment, and serves
// those who wait with addresses that have rested long enough.
func (st *State) Advance(now time.Duration) {
	st.clock = max(st.clock, int64(now))
	st.discharge()
	st.bereave()
	if len(st.queue.waiting) == 0 {
		return
	}
	st.serve()
	for _, f := range st.resting {
		var tried netip.Addr
		for {
			a, _ := f.first(st.clock)
			if !a.IsValid() || a == tried {
				break
			}
			tried = a
			st.vacant = append(st.vacant, vacancy{addr: a})
			st.serve()
		}
	}
}

// Held returns what a Service holds. Not to be changed.
func (st *State) Held(k Key) []netip.Addr {
	if h := st.held[k]; h != nil {
		return h.addrs
	}
	return nil
}

// Leaving returns what a Service has lost, and holds until it is known not to show it. Not to be changed.
func (st *State) Leaving(k Key) []netip.Addr {
	if h := st.held[k]; h != nil {
		return h.addrs[len(h.addrs)-h.left:]
	}
	return nil
}

// Waits reports whether one lacks something.
func (st *State) Waits(k Key) bool { return st.queue.waiting[k] != nil }

// Users returns the Services that name an IPClaim, in order.
func (st *State) Users(claim Key) []Key { return st.users[claim] }

// Others returns those about whom something has changed through somebody else since
// it was last called, in order.
func (st *State) Others() []Key {
	if len(st.others) == 0 {
		return nil
	}
	out := slices.SortedFunc(maps.Keys(st.others), Key.compare)
	clear(st.others)
	return out
}

// Touched returns the pools whose use has changed since it was last called, in order.
func (st *State) Touched() []string {
	var out []string
	for _, p := range st.touched {
		p.touched = false
		out = append(out, p.config.Name)
	}
	st.touched = st.touched[:0]
	slices.Sort(out)
	return out
}

func (st *State) touch(p *pool) {
	if !p.touched {
		p.touched = true
		st.touched = append(st.touched, p)
	}
}

func (st *State) poolOf(a netip.Addr) *pool {
	c := st.snapshot.PoolOf(a)
	if c == nil {
		return nil
	}
	return st.pools[c.Name]
}

// PoolsOf returns the names of the pools that addresses belong to. What belongs to none is not in it.
func (st *State) PoolsOf(addrs []netip.Addr) map[netip.Addr]string {
	out := make(map[netip.Addr]string, len(addrs))
	for _, a := range addrs {
		if p := st.poolOf(a); p != nil {
			out[a] = p.config.Name
		}
	}
	return out
}

// Pools returns the names of all pools, in order.
func (st *State) Pools() []string { return slices.Sorted(maps.Keys(st.pools)) }

// Usage is how many addresses of one family a pool has.
type Usage struct {
	// Available are those that are not assigned. Of these, Cooling are not given yet to those who ask for no particular one, as they
	// were released, or found to be in use by another host, a short time ago.
	Total, Assigned, Available, Cooling int64
}

// countless is a size of pools past which their size says nothing to people.
const countless = 1 << 20

// String says how much is in use, for people: "37/254". It is empty where the pool has none of the family.
func (u Usage) String() string {
	switch {
	case u.Total == 0 && u.Assigned == 0:
		return ""
	case u.Total > countless:
		return strconv.FormatInt(u.Assigned, 10)
	default:
		return fmt.Sprintf("%d/%d", u.Assigned, u.Total)
	}
}

// Usage returns the use of a pool, which is zero for one that does not exist.
// A held address that the pool would not give again counts as assigned only.
func (st *State) Usage(name string, f config.Family) Usage {
	p := st.pools[name]
	if p == nil || p.list(f) == nil {
		return Usage{}
	}
	u := Usage{Total: p.config.Size(f), Assigned: p.list(f).held}
	u.Available = max(0, u.Total-u.Assigned)
	if p.config.Refused {
		u.Available = 0
	}
	u.Cooling = min(u.Available, p.list(f).cooling(st))
	return u
}

// Quota returns how many addresses of one family each namespace may hold of a pool, and how many those hold that hold any. It is 0
// where there is no limit.
func (st *State) Quota(name string, f config.Family) (limit int, held map[string]int) {
	p := st.pools[name]
	if p == nil || p.config.Quota == 0 {
		return 0, nil
	}
	held = map[string]int{}
	for k, n := range p.quota {
		if k.family == f {
			held[k.namespace] = n
		}
	}
	return p.config.Quota, held
}
