package announce

import "net/netip"

// weigh is the weight of a node for an address: highest random weight (Thaler and
// Ravishankar, "Using name-based mappings to increase hit rates", 1998) spreads addresses
// over nodes, and when a node is lost moves only what it had.
func weigh(node string, a netip.Addr) uint64 { return seedOf(a).weigh(node) }

// seed is the hash of an address, which is the same for all nodes.
type seed uint64

func seedOf(a netip.Addr) seed {
	h := seed(fnvOffset)
	for _, b := range a.As16() {
		h = (h ^ seed(b)) * fnvPrime
	}
	return h
}

func (h seed) weigh(node string) uint64 {
	for i := range len(node) {
		h = (h ^ seed(node[i])) * fnvPrime
	}
	return mix(uint64(h))
}

// The parameters of FNV-1a with 64 bits. All speakers must weigh alike, of whichever version.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

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
