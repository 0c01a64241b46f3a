package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// Objects is everything that operators have written. Order does not matter.
type Objects struct {
	Pools            []v1beta1.IPAddressPool
	L2Advertisements []v1beta1.L2Advertisement

	BGPPeers          []v1beta1.BGPPeer
	BGPAdvertisements []v1beta1.BGPAdvertisement
	BFDProfiles       []v1beta1.BFDProfile
	Communities       []v1beta1.Community

	// Reserved is what the cluster uses itself, as far as is known. Nothing but warnings depends on it.
	Reserved []Reserved
}

// A Snapshot is the active configuration. It is never changed once built, and
// shares nothing with the objects that it was built from.
type Snapshot struct {
	pools []*Pool // by name
	l2    []*L2   // by name

	peers   []*Peer             // by name; of age while they are read
	bgp     []*BGPAdvertisement // the same
	bfd     []*BFDProfile       // by name
	aliases map[string]string   // of communities

	// ranges maps addresses to pools: sorted by address and disjoint.
	// Where a refused pool overlaps an accepted one, the accepted one has the address.
	ranges []ownedRange
}

type ownedRange struct {
	netipx.IPRange
	pool *Pool
}

// Build validates the objects together. The problems are sorted; each names the
// object at fault, and all others are active. Of which there are only warnings, is too.
func Build(o Objects) (*Snapshot, []Problem) {
	s := &Snapshot{}
	var problems []Problem
	for _, in := range byAge(o.Pools) {
		p, faults := parseForms(in)
		s.pools = append(s.pools, p)
		problems = append(problems, faults...)
	}
	problems = append(problems, s.own()...)
	slices.SortFunc(s.pools, func(a, b *Pool) int { return cmp.Compare(a.Name, b.Name) })

	for _, in := range byAge(o.L2Advertisements) {
		l, faults := active(Ref{L2Advertisement, in.Name}, &in.Spec, in.Status.AcceptedSpec,
			func(spec *v1beta1.L2AdvertisementSpec) (*L2, []fault) { return parseL2(in.Name, spec) })
		if problems = append(problems, faults...); l == nil {
			continue
		}
		if s.l2 = append(s.l2, l); len(faults) == 0 {
			problems = append(problems, s.missingPools(Ref{L2Advertisement, l.Name}, l.pools)...)
		}
	}
	slices.SortFunc(s.l2, func(a, b *L2) int { return cmp.Compare(a.Name, b.Name) })
	problems = append(problems, s.bgpObjects(&o)...)
	problems = append(problems, s.warn(o.Reserved)...)
	sortProblems(problems)
	return s, problems
}

// own gives every address to one pool: accepted pools before refused ones, then
// the older. A pool that comes too late for one of its addresses is refused.
// The pools are in order of age.
func (s *Snapshot) own() []Problem {
	var problems []Problem
	for i, p := range s.pools {
		if p.Refused {
			continue
		}
		other, at := s.overlap(p)
		if other == nil {
			s.claim(p, p.set)
			continue
		}
		problem := Problem{Ref{IPAddressPool, p.Name}, Overlap, fmt.Sprintf("%s also belongs to pool %s, which is older", at, other.Name)}
		if p.former != nil {
			if o, _ := s.overlap(p.former); o == nil {
				s.pools[i] = p.former
				s.claim(p.former, p.former.set)
				problems = append(problems, noteFormer([]Problem{problem})...)
				continue
			}
		}
		p.Refused = true
		problem.Message += "; no addresses are assigned from this pool until they differ"
		problems = append(problems, problem)
	}
	for _, p := range s.pools {
		if !p.Refused {
			continue
		}
		var rest netipx.IPSetBuilder
		rest.AddSet(p.set)
		for _, r := range s.ranges {
			rest.RemoveRange(r.IPRange)
		}
		left, err := rest.IPSet()
		if err == nil { // ranges of a valid set are valid
			s.claim(p, left)
		}
	}
	return problems
}

func (s *Snapshot) claim(p *Pool, set *netipx.IPSet) {
	for _, r := range set.Ranges() {
		s.ranges = append(s.ranges, ownedRange{r, p})
	}
	slices.SortFunc(s.ranges, func(a, b ownedRange) int { return a.From().Compare(b.From()) })
}

// overlap returns the first pool that already has an address of p, and which.
func (s *Snapshot) overlap(p *Pool) (*Pool, string) {
	for _, r := range p.set.Ranges() {
		for o := range s.over(r) {
			return o.pool, rangeString(common(o.IPRange, r))
		}
	}
	return nil, ""
}

func rangeString(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	if p, ok := r.Prefix(); ok {
		return p.String()
	}
	return r.String()
}

func (s *Snapshot) missingPools(at Ref, names []string) []Problem {
	var missing []string
	for _, n := range names {
		if s.Pool(n) == nil {
			missing = append(missing, n)
		}
	}
	if missing == nil {
		return nil
	}
	return []Problem{{at, PoolNotFound, fmt.Sprintf("no pool is called %s; the rest is active", strings.Join(missing, ", "))}}
}

// Pools returns all pools, the refused ones too, by name. Not to be changed.
func (s *Snapshot) Pools() []*Pool { return s.pools }

// Pool returns the pool of a name, or nil.
func (s *Snapshot) Pool(name string) *Pool {
	i, ok := slices.BinarySearchFunc(s.pools, name, func(p *Pool, n string) int { return cmp.Compare(p.Name, n) })
	if !ok {
		return nil
	}
	return s.pools[i]
}

// PoolOf returns the pool that an address belongs to, or nil.
func (s *Snapshot) PoolOf(a netip.Addr) *Pool {
	i, _ := slices.BinarySearchFunc(s.ranges, a, func(o ownedRange, a netip.Addr) int { return o.To().Compare(a) })
	if i == len(s.ranges) || !s.ranges[i].Contains(a) {
		return nil
	}
	return s.ranges[i].pool
}

// SameAddresses reports whether the pools of another Snapshot have the same names and
// would give the same addresses.
func (s *Snapshot) SameAddresses(o *Snapshot) bool {
	samePool := func(a, b *Pool) bool { return a.Name == b.Name && a.avoidBuggy == b.avoidBuggy && a.set.Equal(b.set) }
	sameRange := func(a, b ownedRange) bool { return a.IPRange == b.IPRange && a.pool.Name == b.pool.Name }
	return slices.EqualFunc(s.pools, o.pools, samePool) && slices.EqualFunc(s.ranges, o.ranges, sameRange)
}

// L2 returns all layer 2 advertisements, by name. Not to be changed.
func (s *Snapshot) L2() []*L2 { return s.l2 }

// BGP returns all BGP advertisements, by name. Not to be changed.
func (s *Snapshot) BGP() []*BGPAdvertisement { return s.bgp }

// AdvertisedBy returns the advertisements that are for a pool, whatever Services they select: those of layer 2 first, by name.
func (s *Snapshot) AdvertisedBy(p *Pool) []Ref {
	var out []Ref
	for _, l := range s.l2 {
		if l.Announces(p) {
			out = append(out, Ref{L2Advertisement, l.Name})
		}
	}
	for _, a := range s.bgp {
		if a.Announces(p) {
			out = append(out, Ref{BGPAdvertisementKind, a.Name})
		}
	}
	return out
}

// L2For returns the layer 2 advertisements of a pool that are for a Service
// with these labels, by name.
func (s *Snapshot) L2For(p *Pool, serviceLabels map[string]string) []*L2 {
	var out []*L2
	for _, l := range s.l2 {
		if l.Announces(p) && l.SelectsService(serviceLabels) {
			out = append(out, l)
		}
	}
	return out
}
