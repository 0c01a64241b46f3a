package config

import (
	"encoding/binary"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"go4.org/netipx"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A Pool is a set of addresses, and who may have them.
type Pool struct {
	Name string
	// AutoAssign: Services that ask for nothing in particular may have an address.
	AutoAssign bool
	// Refused: the pool overlaps an older one, or cannot be read in full. It gives
	// no new addresses; those that Services hold of it stay theirs.
	Refused bool
	// former is the pool as it was last accepted, if it is refused now.
	former *Pool
	// Priority is the rank among pools, lower first; unset is math.MaxInt32.
	Priority int32

	// SharedByAll: Services of different namespaces may share an address.
	SharedByAll bool
	// Quota is how many addresses of each family one namespace may hold, 0 for any number.
	Quota int
	// Cooldown is how long a released address cools down before it is given to who did not ask for it.
	Cooldown time.Duration

	avoidBuggy bool
	set        *netipx.IPSet
	labels     map[string]string

	namespaces         []string // sorted
	namespaceSelectors selectors
	serviceSelectors   selectors
}

// parsePool reads a pool. With problems, the pool is Refused and holds what
// could be read.
func parsePool(in *v1beta1.IPAddressPool) (*Pool, []Problem) {
	ref := Ref{IPAddressPool, in.Name}
	p := &Pool{
		Name:       in.Name,
		AutoAssign: in.Spec.AutoAssign == nil || *in.Spec.AutoAssign,
		Priority:   math.MaxInt32,
		avoidBuggy: in.Spec.AvoidBuggyIPs,
		labels:     in.Labels,

		SharedByAll: in.Spec.Sharing == v1beta1.AllNamespaces,
		Quota:       int(in.Spec.NamespaceQuota),
	}
	if in.Spec.ReuseCooldown != nil {
		p.Cooldown = in.Spec.ReuseCooldown.Duration
	}
	var problems []Problem
	fault := func(r Reason, err error) {
		problems = append(problems, Problem{ref, r, err.Error()})
	}
	set, errs := parseSet(in.Spec.Addresses, in.Spec.Exclude)
	p.set = set
	for _, err := range errs {
		fault(InvalidAddresses, err)
	}
	if a := in.Spec.ServiceAllocation; a != nil {
		if a.Priority > 0 {
			p.Priority = a.Priority
		}
		p.namespaces = slices.Sorted(slices.Values(a.Namespaces))
		var err error
		if p.namespaceSelectors, err = parseSelectors("serviceAllocation.namespaceSelectors", a.NamespaceSelectors); err != nil {
			fault(InvalidSelector, err)
		}
		if p.serviceSelectors, err = parseSelectors("serviceAllocation.serviceSelectors", a.ServiceSelectors); err != nil {
			fault(InvalidSelector, err)
		}
	}
	if len(errs) == 0 && p.Size(IPv4) == 0 && p.Size(IPv6) == 0 {
		problems = append(problems, Problem{ref, NoAddresses, "nothing is left of the addresses after exclude and avoidBuggyIPs"})
	}
	p.Refused = len(problems) > 0
	return p, problems
}

// parseForms reads a pool, and also as it was last accepted: where the present form has problems of its own, the former one stays in
// force.
func parseForms(in *v1beta1.IPAddressPool) (*Pool, []Problem) {
	p, problems := parsePool(in)
	if in.Status.AcceptedSpec == nil {
		return p, problems
	}
	former := *in
	former.Spec = *in.Status.AcceptedSpec
	f, faults := parsePool(&former)
	switch {
	case len(faults) > 0:
		return p, problems
	case len(problems) > 0:
		return f, noteFormer(problems)
	default:
		p.former = f
		return p, nil
	}
}

// Contains reports whether an address belongs to the pool. One that merely
// looks buggy does: a Service that holds it keeps it.
func (p *Pool) Contains(a netip.Addr) bool { return p.set.Contains(a) }

// Assignable reports whether an address of the pool may be given to a Service
// that does not hold it yet.
func (p *Pool) Assignable(a netip.Addr) bool {
	return p.set.Contains(a) && !p.Skips(a)
}

// Skips reports whether avoidBuggyIPs leaves an address out.
func (p *Pool) Skips(a netip.Addr) bool {
	if !p.avoidBuggy || !a.Is4() {
		return false
	}
	b := a.As4()[3]
	return b == 0 || b == 255
}

// Admits reports whether a Service may have an address of the pool, by its
// namespace, the labels of its namespace, and its own labels.
func (p *Pool) Admits(namespace string, namespaceLabels, serviceLabels map[string]string) bool {
	return p.AdmitsNamespace(namespace, namespaceLabels) && p.AdmitsLabels(serviceLabels)
}

// AdmitsLabels is the part of Admits that depends on the Service's own labels.
func (p *Pool) AdmitsLabels(labels map[string]string) bool { return p.serviceSelectors.admit(labels) }

// AdmitsNamespace is the part of Admits that depends on the namespace.
func (p *Pool) AdmitsNamespace(name string, labels map[string]string) bool {
	if len(p.namespaces) == 0 && len(p.namespaceSelectors) == 0 {
		return true
	}
	_, listed := slices.BinarySearch(p.namespaces, name)
	return listed || p.namespaceSelectors.any(labels)
}

// Ranges returns the address ranges of a family, sorted and disjoint.
func (p *Pool) Ranges(f Family) []netipx.IPRange {
	return slices.DeleteFunc(p.set.Ranges(), func(r netipx.IPRange) bool { return FamilyOf(r.From()) != f })
}

// Size returns how many addresses of a family the pool may assign, at most
// math.MaxInt64.
func (p *Pool) Size(f Family) int64 {
	total := new(big.Int)
	for _, r := range p.Ranges(f) {
		total.Add(total, p.rangeSize(r))
	}
	if !total.IsInt64() {
		return math.MaxInt64
	}
	return total.Int64()
}

func (p *Pool) rangeSize(r netipx.IPRange) *big.Int {
	if r.From().Is4() {
		from, to := v4(r.From()), v4(r.To())
		n := to - from + 1
		if p.avoidBuggy {
			n -= residues(from, to, 0) + residues(from, to, 255)
		}
		return big.NewInt(n)
	}
	from, to := r.From().As16(), r.To().As16()
	n := new(big.Int).SetBytes(to[:])
	n.Sub(n, new(big.Int).SetBytes(from[:]))
	return n.Add(n, big.NewInt(1))
}

func v4(a netip.Addr) int64 {
	b := a.As4()
	return int64(binary.BigEndian.Uint32(b[:]))
}

// residues counts the numbers from a to b that leave a remainder r by 256.
func residues(a, b, r int64) int64 {
	upTo := func(n int64) int64 { return (n - r + 256) / 256 } // in [0, n], for n >= -1
	return upTo(b) - upTo(a-1)
}
