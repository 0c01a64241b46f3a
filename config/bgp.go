package config

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A BGPAdvertisement is one way to announce the addresses of some pools by BGP.
type BGPAdvertisement struct {
	scope

	Name string
	// LocalPref and MED are nil where nothing is said of them.
	LocalPref, MED *uint32
	// Prepend is how many times more the own AS number is in the path.
	Prepend int
	// Communities and LargeCommunities are sorted.
	Communities      []Community
	LargeCommunities []LargeCommunity
	// WeightByEndpoints: routes carry a link bandwidth by the number of endpoints.
	WeightByEndpoints bool
	// MinReadyEndpoints is at least 1.
	MinReadyEndpoints int

	peers    []string // sorted
	length   int      // of IPv4 prefixes
	lengthV6 int
}

// Lengths of the prefix of one address.
const (
	hostLength   = 32
	hostLengthV6 = 128
)

// maxPrepend is how many times more an AS number may be in a path.
const maxPrepend = 16

// SelectsPeer reports whether routes are announced to a peer, by its name.
func (a *BGPAdvertisement) SelectsPeer(name string) bool {
	_, named := slices.BinarySearch(a.peers, name)
	return named || len(a.peers) == 0
}

// Prefix returns the prefix by which an address of a pool is announced: one of the length that is asked for or, where that goes
// beyond the pool, the largest that does not.
func (a *BGPAdvertisement) Prefix(p *Pool, addr netip.Addr) netip.Prefix {
	length := a.lengthOf(FamilyOf(addr))
	if p.Refused { // some of it is another's
		length = addr.BitLen()
	}
	for ; length < addr.BitLen(); length++ {
		if prefix := netip.PrefixFrom(addr, length).Masked(); p.set.ContainsPrefix(prefix) {
			return prefix
		}
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

func (a *BGPAdvertisement) lengthOf(f Family) int {
	if f == IPv4 {
		return a.length
	}
	return a.lengthV6
}

// parseBGP reads an advertisement. Aliases of communities are known by then.
func (s *Snapshot) parseBGP(name string, in *v1beta1.BGPAdvertisementSpec) (*BGPAdvertisement, []fault) {
	a := &BGPAdvertisement{
		Name: name, peers: slices.Sorted(slices.Values(in.Peers)),
		Prepend: int(in.ASPathPrepend), WeightByEndpoints: in.WeightByEndpoints, MinReadyEndpoints: max(1, int(in.MinReadyEndpoints)),
	}
	var faults, more []fault
	a.scope, faults = parseScope(scopeSpec{in.IPAddressPools, in.IPAddressPoolSelectors, in.NodeSelectors, in.ServiceSelectors})
	known, more := s.communitiesOf(in.Communities)
	faults = append(faults, more...)
	a.Communities, a.LargeCommunities = known.standard, known.large
	number := func(reason Reason, field string, n, least, most int64) int64 {
		if n < least || n > most {
			faults = append(faults, fault{reason, fmt.Sprintf("%s: %d is not between %d and %d", field, n, least, most)})
		}
		return n
	}
	length := func(field string, n *int32, most int) int {
		if n == nil {
			return most
		}
		return int(number(InvalidAggregation, field, int64(*n), 1, int64(most)))
	}
	attribute := func(field string, n *int64) *uint32 {
		if n == nil {
			return nil
		}
		v := uint32(number(InvalidAttribute, field, *n, 0, math.MaxUint32))
		return &v
	}
	a.length = length("aggregationLength", in.AggregationLength, hostLength)
	a.lengthV6 = length("aggregationLengthV6", in.AggregationLengthV6, hostLengthV6)
	a.LocalPref, a.MED = attribute("localPref", in.LocalPref), attribute("med", in.MED)
	number(InvalidAttribute, "asPathPrepend", int64(in.ASPathPrepend), 0, maxPrepend)
	if len(in.ServiceSelectors) > 0 && (a.length != hostLength || a.lengthV6 != hostLengthV6) {
		faults = append(faults, fault{InvalidAggregation,
			"serviceSelectors cannot be used with aggregationLength or aggregationLengthV6: an aggregate is for all Services in it"})
	}
	return a, faults
}

// advertise reads the BGPAdvertisements, the oldest first. Pools, peers and communities are known by then.
func (s *Snapshot) advertise(all []*v1beta1.BGPAdvertisement) []Problem {
	var problems []Problem
	for _, in := range all {
		ref := Ref{BGPAdvertisementKind, in.Name}
		parse := func(spec *v1beta1.BGPAdvertisementSpec) (*BGPAdvertisement, []fault) {
			return s.parseBGP(in.Name, spec)
		}
		alone := func(spec *v1beta1.BGPAdvertisementSpec) (*BGPAdvertisement, []fault) {
			a, faults := parse(spec)
			if len(faults) == 0 {
				faults = s.contradict(a)
			}
			return a, faults
		}
		a, faults := active(ref, &in.Spec, in.Status.AcceptedSpec, alone)
		if a == nil { // to leave out what contradicts another could leave addresses unannounced
			if a, _ = active(ref, &in.Spec, in.Status.AcceptedSpec, parse); a != nil {
				faults[len(faults)-1].Message += "; both are active, and for such routes the first by name decides"
			}
		}
		if problems = append(problems, faults...); a == nil {
			continue
		}
		if s.bgp = append(s.bgp, a); len(faults) == 0 {
			problems = append(problems, s.missingPools(ref, a.pools)...)
			problems = append(problems, s.missingPeers(ref, a.peers)...)
			problems = append(problems, s.tooWide(ref, a)...)
		}
	}
	slices.SortFunc(s.bgp, func(a, b *BGPAdvertisement) int { return cmp.Compare(a.Name, b.Name) })
	return problems
}

// contradict returns the attributes of which an older advertisement says something else about the same routes.
func (s *Snapshot) contradict(a *BGPAdvertisement) []fault {
	var faults []fault
	for _, o := range s.bgp {
		if !s.meetAt(a, o) {
			continue
		}
		differ := func(field string, mine, other *uint32) {
			if mine != nil && other != nil && *mine != *other {
				faults = append(faults, fault{AttributeConflict,
					fmt.Sprintf("%s: %d, but BGPAdvertisement %s, which is older, has %d for the same routes", field, *mine, o.Name, *other)})
			}
		}
		differ("localPref", a.LocalPref, o.LocalPref)
		differ("med", a.MED, o.MED)
		differ("asPathPrepend", a.prepend(), o.prepend())
	}
	return faults
}

// prepend is Prepend, or nil where nothing is said of it.
func (a *BGPAdvertisement) prepend() *uint32 {
	if a.Prepend == 0 {
		return nil
	}
	n := uint32(a.Prepend)
	return &n
}

// meetAt reports whether two advertisements may lead to the same route from the same node to the same peer.
func (s *Snapshot) meetAt(a, b *BGPAdvertisement) bool {
	if disjoint(a.nodes, b.nodes) || disjoint(a.services, b.services) {
		return false
	}
	if len(a.peers) > 0 && len(b.peers) > 0 && !slices.ContainsFunc(a.peers, b.SelectsPeer) {
		return false
	}
	return slices.ContainsFunc(s.pools, func(p *Pool) bool {
		same := func(f Family) bool { return a.lengthOf(f) == b.lengthOf(f) && len(p.Ranges(f)) > 0 }
		return a.Announces(p) && b.Announces(p) && (same(IPv4) || same(IPv6))
	})
}

func (s *Snapshot) missingPeers(ref Ref, names []string) []Problem {
	missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return s.Peer(n) != nil })
	if len(missing) == 0 {
		return nil
	}
	return []Problem{{ref, PeerNotFound, fmt.Sprintf("no BGPPeer that is active is called %s; the rest is active", strings.Join(missing, ", "))}}
}

// tooWide tells of pools that no prefix of the length that is asked for is in.
func (s *Snapshot) tooWide(ref Ref, a *BGPAdvertisement) []Problem {
	var problems []Problem
	for _, p := range s.pools {
		if p.Refused || !a.Announces(p) {
			continue
		}
		for _, f := range []Family{IPv4, IPv6} {
			if ranges := p.Ranges(f); len(ranges) > 0 && !slices.ContainsFunc(ranges, func(r netipx.IPRange) bool { return fits(r, a.lengthOf(f)) }) {
				problems = append(problems, Problem{ref, InvalidAggregation, fmt.Sprintf(
					"no %s prefix of length %d is within pool %s: its addresses are announced by longer ones", f, a.lengthOf(f), p.Name)})
			}
		}
	}
	return problems
}

// fits reports whether a range has a prefix of a length in it.
func fits(r netipx.IPRange, length int) bool {
	first := netipx.RangeOfPrefix(netip.PrefixFrom(r.From(), length).Masked())
	if first.From() != r.From() {
		next := first.To().Next()
		if !next.IsValid() {
			return false
		}
		first = netipx.RangeOfPrefix(netip.PrefixFrom(next, length))
	}
	return first.To().Compare(r.To()) <= 0
}

// BGPFor returns the BGP advertisements of a pool that are for a Service with these labels, by name.
func (s *Snapshot) BGPFor(p *Pool, serviceLabels map[string]string) []*BGPAdvertisement {
	var out []*BGPAdvertisement
	for _, a := range s.bgp {
		if a.Announces(p) && a.SelectsService(serviceLabels) {
			out = append(out, a)
		}
	}
	return out
}

// bgpObjects reads all that BGP needs, in an order in which each finds what it names.
func (s *Snapshot) bgpObjects(o *Objects) []Problem {
	problems := s.define(byAge(o.Communities))
	problems = append(problems, s.profiles(byAge(o.BFDProfiles))...)
	problems = append(problems, s.meet(byAge(o.BGPPeers))...)
	return append(problems, s.advertise(byAge(o.BGPAdvertisements))...)
}
