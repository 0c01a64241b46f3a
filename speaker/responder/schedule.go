package responder

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// rounds are the times, after an address was gained, at which the neighbours are told.
// The later ones are for those who missed the first: a switch port that has just come up
// forwards nothing for a while.
var rounds = [...]time.Duration{0, 300 * time.Millisecond, time.Second, 3 * time.Second}

// target is an address on a link, by the link's index.
type target struct {
	link int
	addr netip.Addr
}

func (t target) compare(o target) int {
	return cmp.Or(cmp.Compare(t.link, o.link), t.addr.Compare(o.addr))
}

// schedule knows which neighbours are to be told of which address, and when.
type schedule map[target]*burst

type burst struct {
	gained time.Time
	round  int // of rounds, the next one
}

func (b *burst) at() time.Time { return b.gained.Add(rounds[b.round]) }

// gain starts a burst.
func (s schedule) gain(t target, now time.Time) { s[t] = &burst{gained: now} }

// drop ends a burst, if there is one.
func (s schedule) drop(t target) { delete(s, t) }

// due returns, sorted, whom to tell of what now, and counts it as told.
func (s schedule) due(now time.Time) []target {
	var out []target
	for t, b := range s {
		if b.at().After(now) {
			continue
		}
		out = append(out, t)
		if b.round++; b.round == len(rounds) {
			delete(s, t)
		}
	}
	slices.SortFunc(out, target.compare)
	return out
}

// next returns how long to wait until something is due; false if nothing will be.
func (s schedule) next(now time.Time) (time.Duration, bool) {
	if len(s) == 0 {
		return 0, false
	}
	first := now.Add(rounds[len(rounds)-1])
	for _, b := range s {
		if b.at().Before(first) {
			first = b.at()
		}
	}
	return max(0, first.Sub(now)), true
}
