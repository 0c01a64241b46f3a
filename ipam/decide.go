package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/config"
)

// Decide says which addresses a Service has from now on. In order: what it holds
// and may keep, the addresses it asks for, the pool it asks for, and the
// pools that admit it, by priority, then name.
func Decide(st *State, r Request) Decision {
	if r.Invalid != "" {
		return Decision{Addresses: st.has(r), Reason: InvalidRequest, Message: r.Invalid}
	}
	if len(r.Families) == 0 {
		return Decision{Addresses: st.held[r.Service], Reason: InvalidRequest, Message: "the Service has no IP family (spec.ipFamilies)"}
	}
	d := Decision{Reason: Assigned}
	if a, odd := r.odd(); odd {
		d.faultf(FamilyMismatch, "asks for %s, but the Service has no %s (see spec.ipFamilies)", a, config.FamilyOf(a))
	}
	newcomers := 0
	for _, f := range r.Families {
		if a := st.keep(r, f); a.IsValid() {
			d.add(a, len(r.Families))
			continue
		}
		if d.Reason == FamilyMismatch {
			continue
		}
		a, why, message := st.choose(r, f)
		if why != Assigned {
			d.faultf(why, "%s", message)
			continue
		}
		newcomers++
		d.add(a, len(r.Families))
	}
	if d.Reason != Assigned && r.RequireAll && newcomers > 0 {
		d.Addresses = slices.DeleteFunc(d.Addresses, func(a netip.Addr) bool { return !slices.Contains(st.held[r.Service], a) })
	}
	return d
}

// has returns what a Service holds, one address of each of its families.
func (st *State) has(r Request) []netip.Addr {
	var out []netip.Addr
	for _, f := range r.Families {
		for _, a := range st.held[r.Service] {
			if config.FamilyOf(a) == f {
				out = append(out, a)
				break
			}
		}
	}
	return out
}

// add appends without more than one allocation a decision.
func (d *Decision) add(a netip.Addr, families int) {
	if d.Addresses == nil {
		d.Addresses = make([]netip.Addr, 0, families)
	}
	d.Addresses = append(d.Addresses, a)
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

// odd returns a requested address of a family that the Service does not have.
func (r *Request) odd() (netip.Addr, bool) {
	for _, a := range r.Addresses {
		if !slices.Contains(r.Families, config.FamilyOf(a)) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// wanted returns the address of a family that the Service insists on.
func (r *Request) wanted(f config.Family) (netip.Addr, bool) {
	for _, a := range r.Addresses {
		if config.FamilyOf(a) == f {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// keep returns the address of a family that the Service holds and may keep: it
// is still in a pool, and the Service asks for no other. Whether the
// pool would admit the Service today does not matter.
func (st *State) keep(r Request, f config.Family) netip.Addr {
	wanted, insists := r.wanted(f)
	for _, a := range st.held[r.Service] {
		switch {
		case config.FamilyOf(a) != f, st.snapshot.PoolOf(a) == nil:
		case insists && a != wanted, r.Pool != "" && !st.contains(r.Pool, a):
		default:
			return a
		}
	}
	return netip.Addr{}
}

// contains reports whether a pool has an address, be it that another pool, which
// overlaps it, has it first.
func (st *State) contains(pool string, a netip.Addr) bool {
	p := st.snapshot.Pool(pool)
	return p != nil && p.Contains(a)
}

// choose finds an address of a family that the Service does not hold yet.
func (st *State) choose(r Request, f config.Family) (netip.Addr, Reason, string) {
	if a, ok := r.wanted(f); ok {
		why, message := st.claimable(r, a)
		return a, why, message
	}
	if r.Pool != "" {
		return st.fromPool(r, f)
	}
	return st.fromAny(r, f)
}

// claimable judges an address that a Service asks for.
func (st *State) claimable(r Request, a netip.Addr) (Reason, string) {
	p := st.snapshot.PoolOf(a)
	switch {
	case p == nil:
		return NotInPool, fmt.Sprintf("%s belongs to no pool", a)
	case r.Pool != "" && p.Name != r.Pool:
		return NotInPool, fmt.Sprintf("%s belongs to pool %s, not to pool %s that is asked for", a, p.Name, r.Pool)
	}
	if why, message := usable(p, r); why != Assigned {
		return why, message
	}
	if p.Skips(a) {
		return NotInPool, fmt.Sprintf("pool %s does not give %s (avoidBuggyIPs)", p.Name, a)
	}
	if holder, taken := st.holders[a]; taken && holder != r.Service {
		return AddressInUse, fmt.Sprintf("%s is held by %s", a, holder)
	}
	return Assigned, ""
}

// usable judges a pool that a Service asks for, by name or by an address of it.
func usable(p *config.Pool, r Request) (Reason, string) {
	switch {
	case p.Refused:
		return PoolRefused, fmt.Sprintf("pool %s is not accepted; its condition Accepted says why", p.Name)
	case !p.Admits(r.Service.Namespace, r.NamespaceLabels, r.Labels):
		return NotAdmitted, fmt.Sprintf("pool %s does not admit this Service (see its serviceAllocation)", p.Name)
	default:
		return Assigned, ""
	}
}

func (st *State) fromPool(r Request, f config.Family) (netip.Addr, Reason, string) {
	p := st.pools[r.Pool]
	if p == nil {
		return netip.Addr{}, PoolNotFound, fmt.Sprintf("no pool is called %s", r.Pool)
	}
	if why, message := usable(p.config, r); why != Assigned {
		return netip.Addr{}, why, message
	}
	list := p.families[f]
	if list == nil {
		return netip.Addr{}, NoPool, fmt.Sprintf("pool %s has no %s addresses", r.Pool, f)
	}
	if a := list.first(); a.IsValid() {
		return a, Assigned, ""
	}
	return netip.Addr{}, PoolExhausted, fmt.Sprintf("all %d %s addresses of pool %s are in use", p.config.Size(f), f, r.Pool)
}

func (st *State) fromAny(r Request, f config.Family) (netip.Addr, Reason, string) {
	for _, p := range st.order {
		if list := p.families[f]; list != nil && p.offers(r) {
			if a := list.first(); a.IsValid() {
				return a, Assigned, ""
			}
		}
	}
	why, message := st.whyNone(r, f)
	return netip.Addr{}, why, message
}

// offers reports whether a pool gives a Service addresses that it did not ask for.
func (p *pool) offers(r Request) bool {
	return p.config.AutoAssign && !p.config.Refused && p.config.Admits(r.Service.Namespace, r.NamespaceLabels, r.Labels)
}

// whyNone explains why no pool offers a Service an address of a family.
func (st *State) whyNone(r Request, f config.Family) (Reason, string) {
	if len(st.order) == 0 {
		return NoPool, "there is no IPAddressPool"
	}
	var full, notes []string
	for _, p := range st.order {
		name := p.config.Name
		switch {
		case p.families[f] == nil:
			notes = append(notes, fmt.Sprintf("%s has no %s addresses", name, f))
		case p.config.Refused:
			notes = append(notes, name+" is not accepted")
		case !p.config.AutoAssign:
			notes = append(notes, name+" is only for Services that ask for it (autoAssign: false)")
		case !p.offers(r):
			notes = append(notes, name+" does not admit this Service")
		default:
			full = append(full, name)
		}
	}
	if len(full) > 0 {
		return PoolExhausted, fmt.Sprintf("all %s addresses that this Service may have are in use (%s)", f, few("pool", full))
	}
	return NoPool, fmt.Sprintf("no pool offers this Service an %s address: %s", f, few("pool", notes))
}

// few joins at most three, and counts the others.
func few(what string, all []string) string {
	const most = 3
	if len(all) <= most {
		return strings.Join(prefix(what, all), ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(prefix(what, all[:most]), ", "), len(all)-most)
}

func prefix(what string, all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = what + " " + s
	}
	return out
}
