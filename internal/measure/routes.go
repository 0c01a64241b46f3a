package measure

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A RouteChange is what became of a route in a kernel.
type RouteChange struct {
	At time.Time
	// Hops is how many next hops it has since then. None: it is gone.
	Hops int
}

// Routes are the routes to single addresses and networks that a host's kernel has had since it was watched.
type Routes struct {
	stop func()

	mu      sync.Mutex
	changes map[netip.Prefix][]RouteChange
	lost    error
}

func newRoutes() *Routes { return &Routes{changes: map[netip.Prefix][]RouteChange{}} }

func (r *Routes) note(prefix netip.Prefix, c RouteChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes[prefix] = append(r.changes[prefix], c)
}

func (r *Routes) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = err
}

// Changes returns what became of a route, in order; the first is what it was when the watch began, if it was.
func (r *Routes) Changes(prefix netip.Prefix) []RouteChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes[prefix])
}

// replacing is how long a route may be away while a router replaces it. FRR takes out an IPv6 route and puts it in again, within
// a few microseconds.
const replacing = 5 * time.Millisecond

// Fewest returns the least number of next hops that a route had in the watch since it was there first.
func (r *Routes) Fewest(prefix netip.Prefix) int {
	all := r.Changes(prefix)
	fewest := 0
	for i, c := range all {
		if i+1 < len(all) && all[i+1].At.Sub(c.At) < replacing {
			continue
		}
		if fewest == 0 || c.Hops < fewest {
			fewest = c.Hops
		}
		if fewest == 0 {
			return 0
		}
	}
	return fewest
}

// Within returns the routes into a network that are there, and when the first and the last of them got their next hops.
func (r *Routes) Within(network netip.Prefix) (n int, first, last time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for prefix, all := range r.changes {
		now := all[len(all)-1]
		if now.Hops == 0 || prefix.Bits() < network.Bits() || !network.Contains(prefix.Addr()) {
			continue
		}
		if n == 0 || now.At.Before(first) {
			first = now.At
		}
		if now.At.After(last) {
			last = now.At
		}
		n++
	}
	return n, first, last
}

// Stop ends the watch. The error says that changes were missed.
func (r *Routes) Stop() error {
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}
