package ipam

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// Decide says which addresses a Service or an IPClaim has from now on. In order: what it
// holds and may keep, those of the IPClaim that it names, the addresses it asks for,
// those that it may share, the pool it asks for, and the pools that admit it, by
// priority, then name. What it holds of another's making, it may keep.
//
// An address is given up for another only (make before break): what one holds and does not ask for, or what belongs to no pool
// any more, stays until there is one to have instead.
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
	r.Unread = r.Invalid != ""
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
		a, isNew := st.ofFamily(&r, f, has, &d)
		if isNew {
			newcomers++
		}
		if a.IsValid() {
			d.add(st, a, len(r.Families))
		}
	}
	if r.RequireAll && newcomers > 0 && len(d.Addresses) < len(r.Families) {
		d.Addresses = slices.DeleteFunc(d.Addresses, func(a netip.Addr) bool {
			return !slices.Contains(has, a) && !slices.Contains(d.replaced, a)
		})
	}
	d.loseFamilies(&r, has)
	return d
}

// ofFamily returns the address of a family that one has from now on; isNew says that it had none.
func (st *State) ofFamily(r *Request, f config.Family, has []netip.Addr, d *Decision) (a netip.Addr, isNew bool) {
	if a, why := st.keep(r, f, has, d); a.IsValid() {
		b := st.replace(r, f, a, why, d)
		st.checkClaim(r, f, d)
		return b, false
	}
	if d.unreadable() {
		return netip.Addr{}, false
	}
	a, why, message := st.choose(r, f, d)
	if why != Assigned {
		d.faultf(why, "%s", message)
		return netip.Addr{}, false
	}
	return a, true
}

// unreadable reports whether what is asked for is not known: nothing is given for it, and nothing taken.
func (d *Decision) unreadable() bool { return d.Reason == FamilyMismatch || d.Reason == InvalidRequest }

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

// faultf records what went wrong; the first reason stands, all are in the message.
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

// keep returns the address of a family that the Service holds and need not give up at once, and why it should, if
// there is another: it should where it asks for another, or where no pool has the address any more. It must where a
// senior who shares it objects. Whether the pool would admit the Service today does not matter.
func (st *State) keep(r *Request, f config.Family, has []netip.Addr, d *Decision) (kept netip.Addr, why flaw) {
	for _, a := range has {
		if config.FamilyOf(a) != f {
			continue
		}
		h, collides := st.conflict(r, a, true)
		switch {
		case h != nil:
			d.losef("%s: it is shared with %s, %s", a, h.key, collides)
		case kept.IsValid():
			d.losef("%s: %s has taken its place", a, kept)
		default:
			kept, why = a, st.flaw(r, f, a)
		}
	}
	return kept, why
}

// flaw is why a Service should have another address than it has.
type flaw struct {
	// text says so; it is empty where nothing is wrong.
	text string
	// kind of what is wrong.
	kind flawKind
}

type flawKind uint8

const (
	sound flawKind = iota
	// unwanted: it asks for another.
	unwanted
	// poolless: the address belongs to no pool.
	poolless
	// contested: another host uses it, and nobody was served on it yet.
	contested
)

func (st *State) flaw(r *Request, f config.Family, a netip.Addr) flaw {
	if r.Claim != "" {
		if own, bound := st.held[r.claim()].keeps(f); bound {
			if own != a {
				return flaw{fmt.Sprintf("IPClaim %s holds %s", r.Claim, own), unwanted}
			}
			return flaw{}
		}
	}
	wanted, insists := r.wanted(f)
	switch {
	case insists && wanted != a && !r.Prior:
		return flaw{fmt.Sprintf("%s is asked for", wanted), unwanted}
	case r.Pool != "" && !r.Prior && !st.contains(r.Pool, a):
		return flaw{fmt.Sprintf("it is not in pool %s that is asked for", r.Pool), unwanted}
	case st.snapshot.PoolOf(a) == nil:
		return flaw{"it belongs to no pool any more", poolless}
	case r.contests(a) && !insists && r.Kind == Service && r.Claim == "":
		return flaw{"it is also used by another host", contested}
	default:
		return flaw{}
	}
}

// contains reports whether a pool has an address, be it that another pool, which
// overlaps it, has it first.
func (st *State) contains(pool string, a netip.Addr) bool {
	p := st.snapshot.Pool(pool)
	return p != nil && p.Contains(a)
}
