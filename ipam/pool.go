package ipam

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/fairlead-lb/fairlead/config"
)

// compare orders Services by namespace, then name.
func (k Key) compare(other Key) int {
	return cmp.Or(strings.Compare(k.Namespace, other.Namespace), strings.Compare(k.Name, other.Name))
}

// pool is what is free in one pool.
type pool struct {
	config   *config.Pool
	families map[config.Family]*freeList
}

func newPool(c *config.Pool) *pool {
	p := &pool{config: c, families: make(map[config.Family]*freeList, 2)}
	for _, f := range []config.Family{config.IPv4, config.IPv6} {
		if ranges := c.Ranges(f); len(ranges) > 0 {
			p.families[f] = &freeList{pool: c, ranges: ranges, next: ranges[0].From()}
		}
	}
	return p
}

func (p *pool) of(a netip.Addr) *freeList { return p.families[config.FamilyOf(a)] }

// maxReleased bounds the memory of a pool that is hardly ever full, such as a
// /64: past so many released addresses, the oldest is used again before a new one.
const maxReleased = 1 << 16

// freeList finds the next free address of one family of a pool.
type freeList struct {
	pool *config.Pool
	held int64

	// Every assignable address from next on, up to the end of ranges, is either
	// held, or in the queue, or was never used; settle leaves next at one
	// that was never used, or invalid past the end.
	ranges []netipx.IPRange
	next   netip.Addr

	// queue[head:] are released addresses, longest released first; an entry
	// whose time is not the address's latest is stale. settle leaves a valid
	// entry at the head.
	queue []releasedAt
	head  int
}

type releasedAt struct {
	addr netip.Addr
	when uint64
}

// first returns the address to give next; it is invalid where none is free.
func (f *freeList) first() netip.Addr {
	waiting := len(f.queue) - f.head
	if waiting > 0 && (!f.next.IsValid() || waiting > maxReleased) {
		return f.queue[f.head].addr
	}
	return f.next
}

// requeue adds a released address, unless the pool would not give it.
func (f *freeList) requeue(a netip.Addr, when uint64) {
	if f.pool.Assignable(a) {
		f.queue = append(f.queue, releasedAt{a, when})
	}
}

func (f *freeList) sortQueue() {
	slices.SortFunc(f.queue, func(a, b releasedAt) int { return cmp.Compare(a.when, b.when) })
}

// settle restores the invariants of next and queue after a change of the state.
// Over a pool's life it passes each address and each entry once.
func (f *freeList) settle(st *State) {
	for f.next.IsValid() && (st.used(f.next) || f.pool.Skips(f.next)) {
		f.advance()
	}
	for f.head < len(f.queue) && st.released[f.queue[f.head].addr] != f.queue[f.head].when {
		f.head++
	}
	if f.head > 64 && f.head > len(f.queue)/2 {
		f.queue = slices.Delete(f.queue, 0, f.head)
		f.head = 0
	}
}

// used reports whether an address is held or was released.
func (st *State) used(a netip.Addr) bool {
	if _, held := st.holders[a]; held {
		return true
	}
	_, released := st.released[a]
	return released
}

func (f *freeList) advance() {
	if f.next != f.ranges[0].To() {
		f.next = f.next.Next()
		return
	}
	f.ranges = f.ranges[1:]
	f.next = netip.Addr{}
	if len(f.ranges) > 0 {
		f.next = f.ranges[0].From()
	}
}
