package ipam

import (
	"iter"
	"math/bits"
)

// set is a set of small numbers: the indexes of pools.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) put(i int, in bool) {
	if in {
		s[i/64] |= 1 << (i % 64)
	} else {
		s[i/64] &^= 1 << (i % 64)
	}
}

// and returns what is in both of two sets of the same length, in order.
func (s set) and(o set) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range s {
			for w := s[i] & o[i]; w != 0; w &= w - 1 {
				if !yield(i*64 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}
