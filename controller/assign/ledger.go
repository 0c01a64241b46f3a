package assign

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// ledger is who holds what and who waits, behind one lock. None of its methods does I/O.
type ledger struct {
	mu    sync.Mutex
	state *ipam.State
	// waiting are the Services that lack something, as they were last read.
	waiting map[ipam.Key]entry
	// touched are the pools whose use has changed since they were last asked for.
	touched map[string]bool
}

// entry is a Service as it was read.
type entry struct {
	service         kube.Service
	namespaceLabels map[string]string
}

func (e *entry) key() ipam.Key { return ipam.Key{Namespace: e.service.Namespace, Name: e.service.Name} }

// explicit reports whether the Service asks for certain addresses.
func (e *entry) explicit() bool { return len(e.service.IPs) > 0 }

// compare orders those who come first: certain addresses, then age, then name.
func (e *entry) compare(o *entry) int {
	if e.explicit() != o.explicit() {
		if e.explicit() {
			return -1
		}
		return 1
	}
	return cmp.Or(e.service.Created.Compare(o.service.Created),
		cmp.Compare(e.service.Namespace, o.service.Namespace), cmp.Compare(e.service.Name, o.service.Name))
}

// load rebuilds the ledger from all Services that are ours.
func (l *ledger) load(s *config.Snapshot, services []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = ipam.New(s)
	l.touched = map[string]bool{}
	l.waiting = map[ipam.Key]entry{}
	slices.SortFunc(services, func(a, b entry) int {
		return cmp.Or(a.service.Created.Compare(b.service.Created), a.compare(&b))
	})
	for i := range services {
		if _, foreign := l.foreign(services[i]); services[i].service.Marked || !foreign {
			l.state.Adopt(services[i].key(), services[i].service.Shown)
		}
	}
	slices.SortFunc(services, func(a, b entry) int { return a.compare(&b) })
	for i := range services {
		l.settle(services[i])
	}
}

// outcome is what came of a change of the ledger.
type outcome struct {
	ipam.Decision
	// pools that the addresses of the decision came from, in order.
	pools []string
	// served are other Services that got what became free.
	served []ipam.Key
	// touched are the pools whose use has changed.
	touched []string
}

// decide settles one Service.
func (l *ledger) decide(e entry) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, freed := l.settle(e)
	out := outcome{Decision: d, pools: l.state.PoolsOf(d.Addresses)}
	if freed {
		out.served = l.serveWaiting()
	}
	out.touched = l.takeTouched()
	return out
}

// release takes everything from a Service.
func (l *ledger) release(k ipam.Key) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, k)
	l.touch(l.state.Held(k))
	var out outcome
	if l.state.Release(k) {
		out.served = l.serveWaiting()
	}
	out.touched = l.takeTouched()
	return out
}

// reconfigure puts a new snapshot in force and returns the Services to look at again:
// those that lose an address, and those that wait.
func (l *ledger) reconfigure(s *config.Snapshot) []ipam.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Reconfigure(s)
	keys := l.state.Stale()
	for _, e := range l.inOrder() {
		l.settle(e)
		keys = append(keys, e.key())
	}
	return keys
}

// settle decides about a Service and makes it so. It reports whether an address became free.
func (l *ledger) settle(e entry) (d ipam.Decision, freed bool) {
	k := e.key()
	if e.service.Terminating {
		delete(l.waiting, k) // it keeps what it shows until it is gone, and gets nothing more
		return ipam.Decision{Addresses: l.state.Held(k), Reason: ipam.Assigned}, false
	}
	if len(l.state.Held(k)) == 0 && !e.service.Marked {
		if d, foreign := l.foreign(e); foreign {
			l.waiting[k] = e
			return d, false
		}
		l.state.Adopt(k, e.service.Shown)
	}
	d = ipam.Decide(l.state, ipam.Request{
		Service: k, Families: e.service.Families, RequireAll: e.service.RequireAll,
		Addresses: e.service.IPs, Pool: e.service.Pool, Invalid: e.service.Invalid,
		NamespaceLabels: e.namespaceLabels, Labels: e.service.Labels,
	})
	if before := l.state.Held(k); !slices.Equal(before, d.Addresses) {
		l.touch(before)
		l.touch(d.Addresses)
	}
	freed = l.state.Commit(k, d)
	if d.Reason == ipam.Assigned {
		delete(l.waiting, k)
	} else {
		l.waiting[k] = e
	}
	return d, freed
}

// foreign judges a Service whose status was written by somebody else and shows
// something that cannot be adopted. It is left alone until it can: on the day
// Fairlead is installed beside its predecessor there may be no pools yet.
func (l *ledger) foreign(e entry) (ipam.Decision, bool) {
	no := func(r ipam.Reason, format string, args ...any) (ipam.Decision, bool) {
		return ipam.Decision{Reason: r, Message: fmt.Sprintf(format, args...), Foreign: true}, true
	}
	for _, name := range e.service.Names {
		return no(ipam.ForeignAddress, "%s was assigned by somebody else; to have an address of Fairlead, clear the status", name)
	}
	for _, a := range e.service.Shown {
		if l.state.PoolsOf([]netip.Addr{a}) == nil {
			return no(ipam.ForeignAddress, "%s was assigned by somebody else and belongs to no pool; make a pool that contains it, or clear the status", a)
		}
		if holder, held := l.state.Holder(a); held && holder != e.key() {
			return no(ipam.AddressInUse, "%s was assigned by somebody else and is held by %s; clear the status to have another", a, holder)
		}
	}
	return ipam.Decision{}, false
}

// serveWaiting decides about those who wait, and returns who got something.
func (l *ledger) serveWaiting() []ipam.Key {
	var served []ipam.Key
	for _, w := range l.inOrder() {
		before := slices.Clone(l.state.Held(w.key()))
		if l.settle(w); !slices.Equal(before, l.state.Held(w.key())) {
			served = append(served, w.key())
		}
	}
	return served
}

func (l *ledger) inOrder() []entry {
	out := make([]entry, 0, len(l.waiting))
	for _, w := range l.waiting {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b entry) int { return a.compare(&b) })
	return out
}

// waitingIn returns the Services of a namespace that wait.
func (l *ledger) waitingIn(namespace string) []ipam.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []ipam.Key
	for k := range l.waiting {
		if k.Namespace == namespace {
			out = append(out, k)
		}
	}
	return out
}

// usage returns the use of a pool, or nil before the ledger is loaded.
func (l *ledger) usage(pool string) map[config.Family]ipam.Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil {
		return nil
	}
	out := map[config.Family]ipam.Usage{}
	for _, f := range []config.Family{config.IPv4, config.IPv6} {
		out[f] = l.state.Usage(pool, f)
	}
	return out
}

// touch notes that the use of the pools of some addresses has changed.
func (l *ledger) touch(addrs []netip.Addr) {
	for _, p := range l.state.PoolsOf(addrs) {
		l.touched[p] = true
	}
}

func (l *ledger) takeTouched() []string {
	out := slices.Sorted(maps.Keys(l.touched))
	clear(l.touched)
	return out
}

// pooled reports whether all of some addresses belong to pools.
func (l *ledger) pooled(addrs []netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return l.state.PoolsOf([]netip.Addr{a}) == nil })
}

// loaded reports whether the ledger may be asked to decide.
func (l *ledger) loaded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state != nil
}
