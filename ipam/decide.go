package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// Decide says which addresses a Service or an IPClaim has from now on. In order: what it
// holds and may keep, unless a stranger uses it, those of the IPClaim that it names, the addresses it asks for,
// those that it may share, the pool it asks for, and the pools that admit it, by
// priority, then name. What it holds of another's making, it may keep.
//
// Nothing is changed by deciding, but what the State remembers to be fast.
func Decide(st *State, r Request) Decision {
	has := st.Held(r.Key)
	if r.Terminating {
		return Decision{Addresses: has, Reason: Assigned}
	}
	if len(has) == 0 && !r.Marked {
		if d, foreign := st.foreign(&r); foreign {
			return d
		}
		has = st.has(&r)
	}
	r.forgetConflicts(has)
	d := Decision{Reason: Assigned}
	switch {
	case r.Invalid != "":
		d.faultf(InvalidRequest, "%s", r.Invalid)
	case len(r.Families) == 0:
		d.faultf(InvalidRequest, "the Service has no IP family (spec.ipFamilies)")
		d.Addresses = has
		return d
	}
	if a, odd := r.odd(); odd && d.Reason == Assigned {
		d.faultf(FamilyMismatch, "asks for %s, but the Service has no %s (see spec.ipFamilies)", a, config.FamilyOf(a))
	}
	newcomers := 0
	for _, f := range r.Families {
		if a := st.keep(&r, f, has, &d); a.IsValid() {
			d.add(st, st.exchange(&r, f, a, &d), len(r.Families))
			st.checkClaim(&r, f, &d)
			continue
		}
		if d.Reason == FamilyMismatch || d.Reason == InvalidRequest {
			continue
		}
		a, why, message := st.choose(&r, f, &d)
		if why != Assigned {
			d.faultf(why, "%s", message)
			continue
		}
		newcomers++
		d.add(st, a, len(r.Families))
	}
	if r.RequireAll && newcomers > 0 && len(d.Addresses) < len(r.Families) {
		d.Addresses = slices.DeleteFunc(d.Addresses, func(a netip.Addr) bool { return !slices.Contains(has, a) })
	}
	d.loseFamilies(&r, has)
	return d
}

// has returns what a Service holds, or shows before it is known to hold anything.
func (st *State) has(r *Request) []netip.Addr {
	if held := st.Held(r.Key); len(held) > 0 || r.Marked {
		return held
	}
	return r.Shown
}

func (d *Decision) loseFamilies(r *Request, has []netip.Addr) {
	for _, a := range has {
		if f := config.FamilyOf(a); !slices.Contains(r.Families, f) {
			d.losef("%s: the Service has no %s any more", a, f)
		}
	}
}

// add appends an address, in room for all families.
func (d *Decision) add(st *State, a netip.Addr, families int) {
	if d.Addresses == nil {
		d.Addresses = st.carve(families)
	}
	d.Addresses = append(d.Addresses, a)
}

// carve returns room for a few addresses: to make it for several at once costs less.
func (st *State) carve(n int) []netip.Addr {
	const several = 8
	if len(st.room) < n {
		st.room = make([]netip.Addr, several)
	}
	out := st.room[:0:n]
	st.room = st.room[n:]
	return out
}

// faultf records what went wrong; the first reason stands, all are told.
func (d *Decision) faultf(r Reason, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if d.Reason != Assigned {
		d.Message += "; " + message
		return
	}
	d.Reason, d.Message = r, message
}

// losef records why an address is not kept.
func (d *Decision) losef(format string, args ...any) {
	if d.Lost != "" {
		d.Lost += "; "
	}
	d.Lost += fmt.Sprintf(format, args...)
}

// foreign judges a Service whose status was written by somebody else and shows
// something that cannot be adopted. It is left alone until it can: on the day
// Fairlead is installed beside its predecessor there may be no pools yet.
func (st *State) foreign(r *Request) (Decision, bool) {
	no := func(why Reason, format string, args ...any) (Decision, bool) {
		return Decision{Reason: why, Message: fmt.Sprintf(format, args...), Foreign: true}, true
	}
	for _, name := range r.Names {
		return no(ForeignAddress, "%s was assigned by somebody else; to have an address of Fairlead, clear the status", name)
	}
	for _, a := range r.Shown {
		if st.poolOf(a) == nil {
			return no(ForeignAddress, "%s was assigned by somebody else and belongs to no pool; make a pool that contains it, or clear the status", a)
		}
		for h := range st.on(a) {
			if why := objection(r.Key, &r.Terms, h.key, &h.terms); why != "" {
				return no(AddressInUse, "%s was assigned by somebody else and is held by %s, %s; clear the status to have another", a, h.key, why)
			}
		}
	}
	return Decision{}, false
}

// odd returns a requested address of a family that the Service does not have.
func (r *Request) odd() (netip.Addr, bool) {
	for _, a := range r.Addresses {
		if !slices.Contains(r.Families, config.FamilyOf(a)) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// keep returns the address of a family that the Service holds and may keep: it
// is still in a pool, the Service asks for no other, and nobody senior who shares it
// objects. Whether the pool would admit the Service today does not matter.
func (st *State) keep(r *Request, f config.Family, has []netip.Addr, d *Decision) (kept netip.Addr) {
	for _, a := range has {
		if config.FamilyOf(a) != f {
			continue
		}
		switch why := st.mustGo(r, f, a); {
		case why != "":
			d.losef("%s: %s", a, why)
		case kept.IsValid():
			d.losef("%s: %s has taken its place", a, kept)
		default:
			kept = a
		}
	}
	return kept
}

// mustGo says why a Service may not keep an address; it is empty if it may.
func (st *State) mustGo(r *Request, f config.Family, a netip.Addr) string {
	if h, why := st.conflict(r, a, true); h != nil {
		return fmt.Sprintf("it is shared with %s, %s", h.key, why)
	}
	if own, bound := st.held[r.claim()].keeps(f); r.Claim != "" && bound {
		if own != a {
			return fmt.Sprintf("IPClaim %s holds %s", r.Claim, own)
		}
		return ""
	}
	if st.snapshot.PoolOf(a) == nil {
		return "it belongs to no pool any more"
	}
	if r.Invalid != "" {
		return "" // what it asks for is not known
	}
	if wanted, insists := r.wanted(f); insists && wanted != a {
		return fmt.Sprintf("%s is asked for", wanted)
	}
	if r.Pool != "" && !st.contains(r.Pool, a) {
		return fmt.Sprintf("it is not in pool %s that is asked for", r.Pool)
	}
	return ""
}

// contains reports whether a pool has an address, be it that another pool, which
// overlaps it, has it first.
func (st *State) contains(pool string, a netip.Addr) bool {
	p := st.snapshot.Pool(pool)
	return p != nil && p.Contains(a)
}

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
	a, rests := list.first(st.clock)
	if a.IsValid() {
		return a, Assigned, ""
	}
	d.retry(rests)
	return netip.Addr{}, PoolExhausted, fmt.Sprintf("all %d %s addresses of pool %s are in use%s", p.config.Size(f), f, r.Pool, resting(rests))
}

// resting tells of an address that is free, but not yet.
func resting(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return ", or rest after their release (reuseCooldown) or an address conflict"
}

func (d *Decision) retry(rests time.Duration) {
	if rests > 0 && (d.Retry == 0 || rests < d.Retry) {
		d.Retry = rests
	}
}

func (st *State) fromAny(r *Request, f config.Family, d *Decision) (netip.Addr, Reason, string) {
	i := slices.Index(families[:], f)
	for at := range st.open[i].and(st.admitting(r.Namespace, r.NamespaceLabels)) {
		p := st.order[at]
		if !p.config.AdmitsLabels(r.Labels) || !st.withinQuota(p, r, netip.Addr{}, f) {
			continue
		}
		a, rests := p.families[i].first(st.clock)
		if a.IsValid() {
			return a, Assigned, ""
		}
		d.retry(rests)
	}
	why, message := st.whyNone(r, f, d.Retry)
	return netip.Addr{}, why, message
}

// whyNone explains why no pool offers a Service an address of a family.
func (st *State) whyNone(r *Request, f config.Family, rests time.Duration) (Reason, string) {
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
			f, resting(rests), full, quota)
	case full.n > 0:
		return PoolExhausted, fmt.Sprintf("all %s addresses that this Service may have are in use%s (%s)", f, resting(rests), full)
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
