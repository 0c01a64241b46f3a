package ipam

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"go4.org/netipx"

	"github.com/fairlead-lb/fairlead/config"
)

// pool is what is free in one pool.
type pool struct {
	config *config.Pool
	// index is its place in the order in which pools are tried.
	index    int
	families [2]*freeList
	// quota counts the addresses that each namespace holds, while the pool limits them.
	quota map[quotaKey]int
	// touched: its use has changed since that was last asked for.
	touched bool
}

type quotaKey struct {
	namespace string
	family    config.Family
}

func newPool(c *config.Pool) *pool {
	p := &pool{config: c, quota: map[quotaKey]int{}}
	for i, f := range families {
		if ranges := c.Ranges(f); len(ranges) > 0 {
			p.families[i] = &freeList{pool: p, family: i, ranges: ranges, next: ranges[0].From()}
		}
	}
	return p
}

var families = [2]config.Family{config.IPv4, config.IPv6}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func (p *pool) of(a netip.Addr) *freeList { return p.families[familyIndex(a)] }

func (p *pool) list(f config.Family) *freeList { return p.families[slices.Index(families[:], f)] }

// offers reports whether the pool gives a Service addresses that it did not ask for.
func (p *pool) offers(r *Request) bool {
	return p.config.AutoAssign && !p.config.Refused && p.config.Admits(r.Namespace, r.NamespaceLabels, r.Labels)
}

// maxReleased bounds the memory of a pool that is hardly ever full, such as a
// /64: past so many released addresses, the oldest is used again before a new one.
const maxReleased = 1 << 16

// freeList finds the next free address of one family of a pool.
type freeList struct {
	pool   *pool
	family int
	held   int64

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
	// apart are released addresses that are quarantined. They are not in the queue.
	apart []quarantined
}

type releasedAt struct {
	addr netip.Addr
	when int64
}

// first returns the address to give next, and if there is none how long until
// there is one that cools down, or 0.
func (f *freeList) first(now int64) (a netip.Addr, cools time.Duration) {
	waiting := len(f.queue) - f.head
	if f.next.IsValid() && waiting <= maxReleased {
		return f.next, 0
	}
	if waiting == 0 {
		return netip.Addr{}, f.earliest(now)
	}
	head := f.queue[f.head]
	if cools = time.Duration(head.when-now) + f.pool.config.Cooldown; f.pool.config.Cooldown > 0 && cools > 0 {
		if w := f.earliest(now); w > 0 {
			cools = min(cools, w)
		}
		return f.next, cools
	}
	return head.addr, 0
}

// cooling counts the released addresses that first would not return yet.
func (f *freeList) cooling(st *State) (n int64) {
	cooldown := int64(f.pool.config.Cooldown)
	for i := len(f.queue) - 1; i >= f.head && f.queue[i].when+cooldown > st.clock; i-- {
		if st.released[f.queue[i].addr] == f.queue[i].when {
			n++
		}
	}
	for _, q := range f.apart {
		if st.released[q.addr] == q.when {
			n++
		}
	}
	return n
}

// requeue adds a released address, unless the pool would not give it.
func (st *State) requeue(f *freeList, a netip.Addr, when int64) {
	if !f.pool.config.Assignable(a) {
		return
	}
	if until, apart := st.quarantine[a]; apart {
		f.apart = append(f.apart, quarantined{releasedAt{a, when}, until})
		return
	}
	f.queue = append(f.queue, releasedAt{a, when})
}

func (f *freeList) sortQueue() {
	slices.SortFunc(f.queue, func(a, b releasedAt) int { return cmp.Compare(a.when, b.when) })
}

// settle restores the invariants of next and queue after a change of the state.
// Over a pool's life it passes each address and each entry once.
func (f *freeList) settle(st *State) {
	for f.next.IsValid() && (st.used(f.next) || f.pool.config.Skips(f.next)) {
		f.advance()
	}
	for f.head < len(f.queue) && st.released[f.queue[f.head].addr] != f.queue[f.head].when {
		f.head++
	}
	if f.head > 64 && f.head > len(f.queue)/2 {
		f.queue = slices.Delete(f.queue, 0, f.head)
		f.head = 0
	}
	c := f.pool.config
	st.open[f.family].put(f.pool.index, c.AutoAssign && !c.Refused && (f.next.IsValid() || f.head < len(f.queue) || len(f.apart) > 0))
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

// count notes in the pool's quota that a namespace came to hold an address, or holds it no more.
func (st *State) count(p *pool, h *holding, a netip.Addr, n int) {
	if p.config.Quota == 0 {
		return
	}
	for o := range st.on(a) {
		if o != h && o.key.Namespace == h.key.Namespace {
			return // it counts once for all who share it
		}
	}
	k := quotaKey{h.key.Namespace, config.FamilyOf(a)}
	if p.quota[k] += n; p.quota[k] == 0 {
		delete(p.quota, k)
	}
}

// recount counts again what each namespace holds of the pools that limit it.
func (st *State) recount() {
	st.limited = false
	for _, p := range st.pools {
		clear(p.quota)
		st.limited = st.limited || p.config.Quota > 0
	}
	if !st.limited {
		return
	}
	for a := range st.holders {
		if p := st.poolOf(a); p != nil && p.config.Quota > 0 {
			here := map[string]bool{}
			for h := range st.on(a) {
				here[h.key.Namespace] = true
			}
			for ns := range here {
				p.quota[quotaKey{ns, config.FamilyOf(a)}]++
			}
		}
	}
}

// withinQuota reports whether the Service's namespace may hold an address of a pool
// besides what it holds. What the Service would give up for it does not count.
func (st *State) withinQuota(p *pool, r *Request, a netip.Addr, f config.Family) bool {
	if p.config.Quota == 0 {
		return true
	}
	alone := func(a netip.Addr) bool {
		for h := range st.on(a) {
			if h.key != r.Key && h.key.Namespace == r.Namespace {
				return false
			}
		}
		return true
	}
	if a.IsValid() && !alone(a) {
		return true
	}
	n := p.quota[quotaKey{r.Namespace, f}]
	for _, own := range st.Held(r.Key) {
		if config.FamilyOf(own) == f && st.poolOf(own) == p && alone(own) {
			n--
		}
	}
	return n < p.config.Quota
}

// admission is which pools admit a namespace that has certain labels.
type admission struct {
	labels map[string]string
	pools  set
}

// maxAdmissions bounds what is remembered of namespaces that are gone.
const maxAdmissions = 1 << 14

// admitting returns the pools that admit a namespace. It remembers the answer: pools are many
// and change seldom.
func (st *State) admitting(namespace string, labels map[string]string) set {
	if m, known := st.admissions[namespace]; known && maps.Equal(m.labels, labels) {
		return m.pools
	}
	if len(st.admissions) >= maxAdmissions {
		clear(st.admissions)
	}
	pools := newSet(len(st.order))
	for i, p := range st.order {
		pools.put(i, p.config.AdmitsNamespace(namespace, labels))
	}
	st.admissions[namespace] = admission{labels, pools}
	return pools
}
