package assign

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/metrics"
	"github.com/fairlead-lb/fairlead/ipam"
)

// ledger is who holds what and who waits, behind one lock. None of its methods does I/O.
type ledger struct {
	mu    sync.Mutex
	state *ipam.State
	// begin is the moment from which the state's time is counted.
	begin time.Time
}

// RequestOf returns what a Service asks for. Conflicts are those of its addresses that speakers report.
func RequestOf(s *kube.Service, namespaceLabels map[string]string, conflicts ...netip.Addr) ipam.Request {
	r := ipam.Request{
		Key: ipam.Key{Namespace: s.Namespace, Name: s.Name},
		Terms: ipam.Terms{
			Created: s.Created, Sharing: s.Sharing, Claim: s.Claim, Local: s.Local, Selector: s.Selector,
		},
		Families: s.Families, RequireAll: s.RequireAll,
		Addresses: s.IPs, Pool: s.Pool, Invalid: s.Invalid, Terminating: s.Terminating,
		Shown: s.Shown, Names: s.Names, Marked: s.Marked, Prior: s.Prior,
		NamespaceLabels: namespaceLabels, Labels: s.Labels,
	}
	for _, a := range conflicts {
		// Who announced an adopted address before may still do so.
		if slices.Contains(s.Shown, a) && !slices.Contains(s.Adopted, a) {
			r.Conflicts = append(r.Conflicts, a)
		}
	}
	for _, p := range s.Ports {
		r.Ports = append(r.Ports, ipam.Port(p))
	}
	return r
}

// ReservationOf returns what is reserved for a Service that another implementation serves: what it shows.
func ReservationOf(svc *corev1.Service) ipam.Request {
	return ipam.Request{
		Key:   ipam.Key{Namespace: svc.Namespace, Name: svc.Name},
		Terms: ipam.Terms{Created: svc.CreationTimestamp.Time}, Reserved: true, Shown: addresses(svc),
	}
}

// ClaimRequestOf returns what an IPClaim asks for.
func ClaimRequestOf(in *v1beta1.IPClaim, namespaceLabels map[string]string) ipam.Request {
	c := kube.ClaimOf(in)
	return ipam.Request{
		Key:      ipam.Key{Namespace: in.Namespace, Name: in.Name, Kind: ipam.Claim},
		Terms:    ipam.Terms{Created: in.CreationTimestamp.Time},
		Families: c.Families, Addresses: c.IPs, Pool: in.Spec.Pool,
		Terminating: !in.DeletionTimestamp.IsZero(),
		Shown:       c.Shown, Marked: true,
		NamespaceLabels: namespaceLabels, Labels: in.Labels,
	}
}

// load rebuilds the ledger from all Services that are ours and all IPClaims.
func (l *ledger) load(s *config.Snapshot, requests []ipam.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.begin = ipam.Load(s, requests), time.Now()
}

// outcome is what came of a change of the ledger.
type outcome struct {
	ipam.Decision
	// from is the pool that each address of the decision belongs to.
	from map[netip.Addr]string
	// users are the Services that name the IPClaim that was decided about.
	users []ipam.Key
	// leaving are addresses that are lost but may still be shown. They are
	// held until it is known that they are not: see left.
	leaving []netip.Addr
	// others are those to look at, as something has changed for them too.
	others []ipam.Key
	// touched are the pools whose use has changed.
	touched []string
	// freed are the addresses that were given back.
	freed []freed
}

// pools returns the pools that the addresses of the decision belong to, in order, each once.
func (o *outcome) pools() []string { return names(o.Addresses, o.from) }

// freed is an address that was given back, of which pool, and who had it.
type freed struct {
	pool string
	addr netip.Addr
	by   ipam.Key
}

// free gives addresses back, and notes which of them belong to a pool.
func free(st *ipam.State, out *outcome, k ipam.Key, addrs []netip.Addr, give func()) {
	addrs = slices.Clone(addrs)
	give()
	for _, a := range addrs {
		if pool := st.PoolsOf([]netip.Addr{a})[a]; pool != "" {
			out.freed = append(out.freed, freed{pool, a, k})
		}
	}
}

// do changes the state, and tells whom that concerns.
func (l *ledger) do(change func(*ipam.State, *outcome)) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out outcome
	l.state.Advance(time.Since(l.begin))
	change(l.state, &out)
	out.others, out.touched = l.state.Others(), l.state.Touched()
	return out
}

// decide settles one Service or IPClaim. It goes on holding what it loses.
func (l *ledger) decide(r ipam.Request) outcome {
	return l.do(func(st *ipam.State, out *outcome) {
		out.Decision = st.Settle(r)
		out.from = st.PoolsOf(out.Addresses)
		out.leaving = slices.Clone(st.Leaving(r.Key))
		out.users = slices.Clone(st.Users(r.Key))
	})
}

// left says that some addresses are not shown any more that are lost: they become free.
func (l *ledger) left(k ipam.Key, lost []netip.Addr) outcome {
	return l.do(func(st *ipam.State, out *outcome) { free(st, out, k, lost, func() { st.Left(k, lost) }) })
}

// release takes everything from one that is gone or no longer ours, and shows nothing of ours.
func (l *ledger) release(k ipam.Key) outcome {
	return l.do(func(st *ipam.State, out *outcome) { free(st, out, k, st.Held(k), func() { st.Release(k) }) })
}

// reconfigure applies a new snapshot.
func (l *ledger) reconfigure(s *config.Snapshot) outcome {
	return l.do(func(st *ipam.State, _ *outcome) { st.Reconfigure(s) })
}

// relabel notes the labels of a namespace.
func (l *ledger) relabel(namespace string, labels map[string]string) outcome {
	if !l.loaded() {
		return outcome{}
	}
	return l.do(func(st *ipam.State, _ *outcome) { st.Relabel(namespace, labels) })
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

// pools returns the use of all pools; none before the ledger is loaded.
func (l *ledger) pools() (out []metrics.Pool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil {
		return nil
	}
	l.state.Advance(time.Since(l.begin))
	for _, name := range l.state.Pools() {
		for _, f := range []config.Family{config.IPv4, config.IPv6} {
			u := l.state.Usage(name, f)
			if u.Total == 0 {
				continue
			}
			p := metrics.Pool{Name: name, Family: string(f), Assigned: u.Assigned, Available: u.Available - u.Cooling, Cooling: u.Cooling}
			p.Quota, p.Namespaces = l.state.Quota(name, f)
			out = append(out, p)
		}
	}
	return out
}

// loaded reports whether the ledger may be asked to decide.
func (l *ledger) loaded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state != nil
}
