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
	// leaving are addresses that the Service has no more but may still show. It
	// holds them until it is known not to: see left.
	leaving []netip.Addr
	// served are other Services that got what became free.
	served []ipam.Key
	// touched are the pools whose use has changed.
	touched []string
}

// decide settles one Service. It goes on holding what it loses.
func (l *ledger) decide(e entry) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.settle(e)
	return outcome{
		Decision: d, pools: l.state.PoolsOf(d.Addresses),
		leaving: less(l.state.Held(e.key()), d.Addresses), touched: l.takeTouched(),
	}
}

// left says that a Service does not show some addresses any more that it has lost: they become free.
func (l *ledger) left(k ipam.Key, lost []netip.Addr) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop(k, lost)
}

// release takes everything from a Service that is gone or no longer ours, and shows nothing of ours.
func (l *ledger) release(k ipam.Key) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, k)
	return l.drop(k, l.state.Held(k))
}

func (l *ledger) drop(k ipam.Key, lost []netip.Addr) outcome {
	var out outcome
	l.touch(lost)
	if l.state.Commit(k, ipam.Decision{Addresses: less(l.state.Held(k), lost)}) {
		out.served = l.serveWaiting()
	}
	out.touched = l.takeTouched()
	return out
}

// reconfigure puts a new snapshot in force and returns the Services to look at again:
// those whose addresses belong to another pool or none, and those that waited.
func (l *ledger) reconfigure(s *config.Snapshot) []ipam.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(l.state.Reconfigure(s), l.settleAll(l.inOrder())...)
}

// relabel notes the labels of a namespace, and returns its Services that waited: the
// labels may have opened a pool to them.
func (l *ledger) relabel(namespace string, labels map[string]string) []ipam.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	var here []entry
	for _, e := range l.inOrder() {
		if e.service.Namespace == namespace {
			e.namespaceLabels = labels
			here = append(here, e)
		}
	}
	return l.settleAll(here)
}

// settleAll decides about some Services, first come first served, and returns them.
func (l *ledger) settleAll(entries []entry) []ipam.Key {
	var keys []ipam.Key
	for _, e := range entries {
		l.settle(e)
		keys = append(keys, e.key())
	}
	return keys
}

// settle decides about a Service. It holds what it is given, and still what it loses.
func (l *ledger) settle(e entry) ipam.Decision {
	k := e.key()
	if e.service.Terminating {
		delete(l.waiting, k) // it keeps what it shows until it is gone, and gets nothing more
		return ipam.Decision{Addresses: l.state.Held(k), Reason: ipam.Assigned}
	}
	if len(l.state.Held(k)) == 0 && !e.service.Marked {
		if d, foreign := l.foreign(e); foreign {
			l.waiting[k] = e
			return d
		}
		l.state.Adopt(k, e.service.Shown)
		l.touch(l.state.Held(k))
	}
	d := ipam.Decide(l.state, ipam.Request{
		Service: k, Families: e.service.Families, RequireAll: e.service.RequireAll,
		Addresses: e.service.IPs, Pool: e.service.Pool, Invalid: e.service.Invalid,
		NamespaceLabels: e.namespaceLabels, Labels: e.service.Labels,
	})
	before := l.state.Held(k)
	if come := less(d.Addresses, before); len(come) > 0 {
		l.state.Commit(k, ipam.Decision{Addresses: append(slices.Clone(d.Addresses), less(before, d.Addresses)...)})
		l.touch(come)
	}
	if d.Reason == ipam.Assigned {
		delete(l.waiting, k)
	} else {
		l.waiting[k] = e
	}
	return d
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
