package ipam

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// State says who holds which address. It is a value with one owner: its methods
// may not run at the same time.
type State struct {
	snapshot *config.Snapshot
	// holders and held are each other's inverse: no address has two holders.
	holders map[netip.Addr]Key
	held    map[Key][]netip.Addr
	// released gives the order in which free addresses were let go, from 1 on.
	// An address that is not in it was never used, as far as is known.
	released map[netip.Addr]uint64
	clock    uint64
	pools    map[string]*pool
	// order is the sequence in which pools are tried: priority, then name.
	order []*pool
}

// New returns a State in which nobody holds anything.
func New(s *config.Snapshot) *State {
	st := &State{
		holders:  map[netip.Addr]Key{},
		held:     map[Key][]netip.Addr{},
		released: map[netip.Addr]uint64{},
	}
	st.Reconfigure(s)
	return st
}

// Reconfigure puts a new configuration in force. Holders keep their addresses
// until the next decision about them. Those who have an address that belongs to
// another pool than before, or to none, are returned, sorted.
func (st *State) Reconfigure(s *config.Snapshot) []Key {
	before := st.snapshot
	st.snapshot = s
	st.pools = make(map[string]*pool, len(s.Pools()))
	st.order = st.order[:0]
	for _, c := range s.Pools() {
		p := newPool(c)
		st.pools[c.Name] = p
		st.order = append(st.order, p)
	}
	slices.SortStableFunc(st.order, func(a, b *pool) int { return int(a.config.Priority) - int(b.config.Priority) })
	affected := map[Key]bool{}
	for a, k := range st.holders {
		p := st.poolOf(a)
		if p != nil {
			p.of(a).held++
		}
		if nameOf(before.PoolOf(a)) != nameOf(s.PoolOf(a)) {
			affected[k] = true
		}
	}
	for a, when := range st.released {
		if p := st.poolOf(a); p != nil {
			p.of(a).requeue(a, when)
		}
	}
	for _, p := range st.pools {
		for _, f := range p.families {
			f.sortQueue()
			f.settle(st)
		}
	}
	return slices.SortedFunc(maps.Keys(affected), Key.compare)
}

func nameOf(p *config.Pool) string {
	if p == nil {
		return ""
	}
	return p.Name
}

// Held returns what a Service holds. Not to be changed.
func (st *State) Held(k Key) []netip.Addr { return st.held[k] }

// Holder returns who holds an address.
func (st *State) Holder(a netip.Addr) (k Key, held bool) {
	k, held = st.holders[a]
	return k, held
}

// Adopt makes a Service the holder of addresses that it shows already, as far as
// they belong to a pool and nobody else holds them.
func (st *State) Adopt(k Key, shown []netip.Addr) {
	var keep []netip.Addr
	for _, a := range shown {
		holder, taken := st.holders[a]
		if st.poolOf(a) != nil && (!taken || holder == k) && !slices.Contains(keep, a) {
			keep = append(keep, a)
		}
	}
	st.set(k, keep)
}

// Commit makes a decision about a Service true, and reports whether an address became free.
func (st *State) Commit(k Key, d Decision) bool { return st.set(k, d.Addresses) }

// Release takes everything from a Service, and reports whether an address became free.
func (st *State) Release(k Key) bool { return st.set(k, nil) }

func (st *State) set(k Key, now []netip.Addr) (freed bool) {
	before := st.held[k]
	if slices.Equal(before, now) {
		return false
	}
	for _, a := range before {
		if !slices.Contains(now, a) {
			st.free(a)
			freed = true
		}
	}
	for _, a := range now {
		if !slices.Contains(before, a) {
			st.take(k, a)
		}
	}
	if len(now) == 0 {
		delete(st.held, k)
		return freed
	}
	st.held[k] = now
	return freed
}

func (st *State) take(k Key, a netip.Addr) {
	if other, taken := st.holders[a]; taken {
		panic("ipam: " + a.String() + " of " + other.String() + " given to " + k.String())
	}
	st.holders[a] = k
	delete(st.released, a)
	if p := st.poolOf(a); p != nil {
		f := p.of(a)
		f.held++
		f.settle(st)
	}
}

func (st *State) free(a netip.Addr) {
	delete(st.holders, a)
	p := st.poolOf(a)
	if p == nil {
		return
	}
	st.clock++
	st.released[a] = st.clock
	f := p.of(a)
	f.held--
	f.requeue(a, st.clock)
	f.settle(st)
}

func (st *State) poolOf(a netip.Addr) *pool {
	c := st.snapshot.PoolOf(a)
	if c == nil {
		return nil
	}
	return st.pools[c.Name]
}

// PoolsOf returns the names of the pools that addresses belong to, in order, each once.
func (st *State) PoolsOf(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		if p := st.poolOf(a); p != nil && !slices.Contains(out, p.config.Name) {
			out = append(out, p.config.Name)
		}
	}
	return out
}

// Usage is how many addresses of one family a pool has.
type Usage struct{ Total, Assigned, Available int64 }

// Usage returns the use of a pool, which is zero for one that does not exist.
// A held address that the pool would not give again counts as assigned only.
func (st *State) Usage(name string, f config.Family) Usage {
	p := st.pools[name]
	if p == nil || p.families[f] == nil {
		return Usage{}
	}
	u := Usage{Total: p.config.Size(f), Assigned: p.families[f].held}
	u.Available = max(0, u.Total-u.Assigned)
	if p.config.Refused {
		u.Available = 0
	}
	return u
}
