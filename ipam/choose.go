package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// choose finds an address of a family that the Service does not hold yet.
func (st *State) choose(r *Request, f config.Family, d *Decision) (netip.Addr, Reason, string) {
	if r.Claim != "" {
		return st.fromClaim(r, f)
	}
	if a, ok := r.wanted(f); ok {
		why, message := st.claimable(r, a)
		return a, why, message
	}
	if r.Kind == Claim {
		if a := st.fromUsers(r, f); a.IsValid() {
			return a, Assigned, ""
		}
	}
	if r.Sharing != "" {
		if a := st.join(r, f); a.IsValid() {
			return a, Assigned, ""
		}
	}
	if r.Pool != "" {
		return st.fromPool(r, f, d)
	}
	return st.fromAny(r, f, d)
}

// fromClaim returns the address of the IPClaim that a Service names.
func (st *State) fromClaim(r *Request, f config.Family) (netip.Addr, Reason, string) {
	claim := r.claim()
	a, bound := st.held[claim].keeps(f)
	if !bound {
		why, message := st.whyUnbound(r, f)
		return a, why, message
	}
	if h, why := st.conflict(r, a, false); h != nil {
		return a, AddressInUse, fmt.Sprintf("%s of IPClaim %s is held by %s, %s", a, r.Claim, h.key, why)
	}
	return a, Assigned, ""
}

// whyUnbound explains why the IPClaim that a Service names has no address for it.
func (st *State) whyUnbound(r *Request, f config.Family) (Reason, string) {
	claim := r.claim()
	if st.held[claim] == nil && st.queue.waiting[claim] == nil {
		return ClaimNotFound, fmt.Sprintf("no IPClaim is called %s in namespace %s", r.Claim, r.Namespace)
	}
	return ClaimPending, fmt.Sprintf("IPClaim %s holds no %s address; its condition Bound says why", r.Claim, f)
}

// checkClaim tells of a claim that does not hold the address that a Service goes on holding.
func (st *State) checkClaim(r *Request, f config.Family, d *Decision) {
	if r.Claim == "" || r.Invalid != "" {
		return
	}
	if _, bound := st.held[r.claim()].keeps(f); !bound {
		why, message := st.whyUnbound(r, f)
		d.faultf(why, "%s", message)
	}
}

// fromUsers returns what a Service that names an IPClaim holds already, for the IPClaim to hold.
func (st *State) fromUsers(r *Request, f config.Family) netip.Addr {
	for _, k := range st.users[r.Key] {
		a, has := st.held[k].keeps(f)
		if !has {
			continue
		}
		if why, _ := st.claimable(r, a); why == Assigned {
			return a
		}
	}
	return netip.Addr{}
}

// claimable judges an address that a Service asks for.
func (st *State) claimable(r *Request, a netip.Addr) (Reason, string) {
	p := st.poolOf(a)
	switch {
	case p == nil:
		return NotInPool, fmt.Sprintf("%s belongs to no pool", a)
	case r.Pool != "" && p.config.Name != r.Pool:
		return NotInPool, fmt.Sprintf("%s belongs to pool %s, not to pool %s that is asked for", a, p.config.Name, r.Pool)
	}
	if !p.usable(r) {
		return whyNot(p.config)
	}
	if h, why := st.conflict(r, a, false); h != nil {
		return AddressInUse, fmt.Sprintf("%s is held by %s, %s", a, h.key, why)
	}
	if _, held := st.holders[a]; !held && p.config.Skips(a) {
		return NotInPool, fmt.Sprintf("pool %s does not give %s (avoidBuggyIPs)", p.config.Name, a)
	}
	if !st.withinQuota(p, r, a, config.FamilyOf(a)) {
		return QuotaExceeded, overQuota(p.config, r, config.FamilyOf(a))
	}
	return Assigned, ""
}

// usable reports whether a pool gives a Service addresses that it asks for, by name or by an address of it.
func (p *pool) usable(r *Request) bool {
	return !p.config.Refused && p.config.Admits(r.Namespace, r.NamespaceLabels, r.Labels)
}

// whyNot explains why a pool is not usable.
func whyNot(p *config.Pool) (Reason, string) {
	if p.Refused {
		return PoolRefused, fmt.Sprintf("pool %s is not accepted; its condition Accepted says why", p.Name)
	}
	return NotAdmitted, fmt.Sprintf("pool %s does not admit this Service (see its serviceAllocation)", p.Name)
}

func overQuota(p *config.Pool, r *Request, f config.Family) string {
	return fmt.Sprintf("namespace %s holds all %d %s addresses that pool %s lets it have (namespaceQuota)", r.Namespace, p.Quota, f, p.Name)
}

func (st *State) fromPool(r *Request, f config.Family, d *Decision) (netip.Addr, Reason, string) {
	p := st.pools[r.Pool]
	if p == nil {
		return netip.Addr{}, PoolNotFound, fmt.Sprintf("no pool is called %s", r.Pool)
	}
	if !p.usable(r) {
		why, message := whyNot(p.config)
		return netip.Addr{}, why, message
	}
	list := p.list(f)
	if list == nil {
		return netip.Addr{}, NoPool, fmt.Sprintf("pool %s has no %s addresses", r.Pool, f)
	}
	if !st.withinQuota(p, r, netip.Addr{}, f) {
		return netip.Addr{}, QuotaExceeded, overQuota(p.config, r, f)
	}
	a, cools := list.first(st.clock)
	if a.IsValid() {
		return a, Assigned, ""
	}
	d.retry(cools)
	return netip.Addr{}, PoolExhausted, fmt.Sprintf("all %d %s addresses of pool %s are in use%s", p.config.Size(f), f, r.Pool, coolingDown(cools))
}

// coolingDown says that there is an address that is free, but not yet.
func coolingDown(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return ", or cool down after their release (reuseCooldown) or an address conflict"
}

func (d *Decision) retry(cools time.Duration) {
	if cools > 0 && (d.Retry == 0 || cools < d.Retry) {
		d.Retry = cools
	}
}

func (st *State) fromAny(r *Request, f config.Family, d *Decision) (netip.Addr, Reason, string) {
	i := slices.Index(families[:], f)
	for at := range st.open[i].and(st.admitting(r.Namespace, r.NamespaceLabels)) {
		p := st.order[at]
		if !p.config.AdmitsLabels(r.Labels) || !st.withinQuota(p, r, netip.Addr{}, f) {
			continue
		}
		a, cools := p.families[i].first(st.clock)
		if a.IsValid() {
			return a, Assigned, ""
		}
		d.retry(cools)
	}
	why, message := st.whyNone(r, f, d.Retry)
	return netip.Addr{}, why, message
}

// whyNone explains why no pool offers a Service an address of a family.
func (st *State) whyNone(r *Request, f config.Family, cools time.Duration) (Reason, string) {
	if len(st.order) == 0 {
		return NoPool, "there is no IPAddressPool"
	}
	full, quota, notes := &list{}, &list{}, &list{}
	for _, p := range st.order {
		name := p.config.Name
		switch {
		case p.list(f) == nil:
			notes.add(name, " has no "+string(f)+" addresses")
		case p.config.Refused:
			notes.add(name, " is not accepted")
		case !p.config.AutoAssign:
			notes.add(name, " is only for Services that ask for it (autoAssign: false)")
		case !p.offers(r):
			notes.add(name, " does not admit this Service")
		case !st.withinQuota(p, r, netip.Addr{}, f):
			quota.add(name, "")
		default:
			full.add(name, "")
		}
	}
	switch {
	case full.n > 0 && quota.n > 0:
		return PoolExhausted, fmt.Sprintf("all %s addresses that this Service may have are in use%s (%s), or beyond the namespaceQuota (%s)",
			f, coolingDown(cools), full, quota)
	case full.n > 0:
		return PoolExhausted, fmt.Sprintf("all %s addresses that this Service may have are in use%s (%s)", f, coolingDown(cools), full)
	case quota.n > 0:
		return QuotaExceeded, fmt.Sprintf("namespace %s holds all %s addresses that the namespaceQuota lets it have (%s)", r.Namespace, f, quota)
	default:
		return NoPool, fmt.Sprintf("no pool offers this Service an %s address: %s", f, notes)
	}
}

// list names at most three pools, and counts the others.
type list struct {
	named []string
	n     int
}

func (l *list) add(pool, note string) {
	const most = 3
	if l.n++; l.n <= most {
		l.named = append(l.named, "pool "+pool+note)
	}
}

// String joins what is named.
func (l *list) String() string {
	named := strings.Join(l.named, ", ")
	if more := l.n - len(l.named); more > 0 {
		return fmt.Sprintf("%s and %d more", named, more)
	}
	return named
}
