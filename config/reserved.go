package config

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// Reserved are addresses that the cluster uses for something else. A pool that has some
// of them is warned about and stays active: an operator may know better.
type Reserved struct {
	netipx.IPRange
	// For is NodeAddress, PodNetwork or ServiceNetwork.
	For Reason
	// Of names the object that says so.
	Of string
}

func (r Reserved) compare(o Reserved) int {
	return cmp.Or(r.From().Compare(o.From()), r.To().Compare(o.To()), cmp.Compare(r.Of, o.Of), cmp.Compare(r.For, o.For))
}

// warnings are what is said of a pool, before and after what it has of others' addresses.
var warnings = map[Reason]struct{ who, advice string }{
	NodeAddress: {"nodes have addresses of this pool: ",
		"; exclude them: a Service that gets one takes the traffic of the node"},
	PodNetwork: {"pods may have addresses of this pool: ",
		"; exclude them: a Service that gets one takes the traffic of a pod"},
	ServiceNetwork: {"Services may have addresses of this pool as their cluster IPs: ",
		"; exclude them: a Service that gets one takes the traffic of another"},
}

// warn tells of pools that have addresses which are reserved.
func (s *Snapshot) warn(reserved []Reserved) []Problem {
	type about struct {
		pool *Pool
		why  Reason
	}
	found := map[about]*sample{}
	var hits []Reserved // few or none of many
	for _, r := range reserved {
		for range s.over(r.IPRange) {
			hits = append(hits, r)
			break
		}
	}
	slices.SortFunc(hits, Reserved.compare)
	for _, r := range slices.Compact(hits) {
		for o := range s.over(r.IPRange) {
			at := about{o.pool, r.For}
			if found[at] == nil {
				found[at] = &sample{}
			}
			found[at].add(fmt.Sprintf("%s (%s)", rangeString(common(o.IPRange, r.IPRange)), r.Of))
		}
	}
	problems := make([]Problem, 0, len(found))
	for at, which := range found {
		w := warnings[at.why]
		problems = append(problems, Problem{Ref{IPAddressPool, at.pool.Name}, at.why, w.who + which.String() + w.advice})
	}
	return problems
}

// over returns what pools have of a range, in order.
func (s *Snapshot) over(r netipx.IPRange) iter.Seq[ownedRange] {
	return func(yield func(ownedRange) bool) {
		i, _ := slices.BinarySearchFunc(s.ranges, r.From(), func(o ownedRange, a netip.Addr) int { return o.To().Compare(a) })
		for ; i < len(s.ranges) && s.ranges[i].Overlaps(r); i++ {
			if !yield(s.ranges[i]) {
				return
			}
		}
	}
}

// common returns what two ranges that overlap have in common.
func common(a, b netipx.IPRange) netipx.IPRange {
	from, to := a.From(), a.To()
	if from.Less(b.From()) {
		from = b.From()
	}
	if b.To().Less(to) {
		to = b.To()
	}
	return netipx.IPRangeFrom(from, to)
}

// sample names the first few of many.
type sample struct {
	named []string
	n     int
}

func (s *sample) add(what string) {
	const most = 3
	if s.n++; s.n <= most {
		s.named = append(s.named, what)
	}
}

// String says how many there are besides.
func (s *sample) String() string {
	named := strings.Join(s.named, ", ")
	if more := s.n - len(s.named); more > 0 {
		return fmt.Sprintf("%s and %d more", named, more)
	}
	return named
}
