package announce

import (
	"hash/fnv"
	"net/netip"
)

// weigh is the weight of a node for an address: highest random weight (Thaler and
// Ravishankar, "Using name-based mappings to increase hit rates", 1998) spreads addresses
// over nodes, and when a node is lost moves only what it had.
func weigh(node string, a netip.Addr) uint64 {
	h := fnv.New64a()
	b := a.As16()
	_, _ = h.Write(b[:]) // a hash never fails
	_, _ = h.Write([]byte(node))
	return mix(h.Sum64())
}

// mix spreads every bit of x over all others (the finalizer of MurmurHash3), as FNV
// alone leaves the high bits of similar inputs similar.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
