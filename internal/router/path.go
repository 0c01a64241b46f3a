package router

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Path is one way to a prefix, as a router has it from one of its neighbours. Routers differ in their words; a Path is the
// same from all.
type Path struct {
	From    netip.Addr // the neighbour
	NextHop netip.Addr // its global address if it has two
	// Best is set on the path that the router prefers. It may use others beside it: ask its kernel for those.
	Best bool
	// Stale is set while a neighbour restarts (RFC 4724). Only FRR says so.
	Stale     bool
	ASPath    []uint32
	MED       uint32 // zero if there is none
	LocalPref uint32 // zero if there is none; BIRD always has one
	// Communities are written as in RFC 1997 and RFC 8092, 64512:100 and 64512:1:2, the well-known ones too.
	Communities, LargeCommunities []string
	// LinkBandwidth is in bytes a second, zero if there is none (draft-ietf-idr-link-bandwidth).
	LinkBandwidth float32
}

// GracefulShutdown is the community of RFC 8326.
const GracefulShutdown = "65535:0"

// NextHops returns the different next hops of paths, sorted.
func NextHops(paths []Path) []netip.Addr {
	var all []netip.Addr
	for _, p := range paths {
		all = append(all, p.NextHop)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// sortPaths puts paths into an order that does not change from one question to the next.
func sortPaths(paths []Path) {
	slices.SortFunc(paths, func(a, b Path) int {
		return cmp.Or(a.NextHop.Compare(b.NextHop), a.From.Compare(b.From))
	})
}
