package responder

import (
	"testing"
	"time"
)

// TestTimes: the times of this package depend on each other.
func TestTimes(t *testing.T) {
	length := func(course []step) (sum time.Duration) {
		for _, s := range course {
			sum += s.after
		}
		return sum
	}
	for _, less := range []struct {
		reason string
		a, b   time.Duration
	}{
		{"an address is defended at most once in the time of RFC 5227, section 2.4", 10 * time.Second, defendInterval},
		{"a hand-over is over before the former node defends the address", 300 * time.Millisecond, defendAfter},
		{"a defence comes before the next", defendAfter, defendInterval},
		{"a claimant is reported again before a question about it is forgotten", resight, 2 * time.Second},
		{"the burst of claims is over before the first refresh", length(gained), refresh.after / 2},
		{"and so is probing", length(fresh), refresh.after / 2},
		{"probing lasts as long as three probes and the wait of RFC 5227, section 1.1, at least", 4 * time.Second, length(fresh)},
		{"refreshes are rounded to much less than their jitter", grain, refresh.after / 4},
	} {
		if less.a > less.b {
			t.Errorf("%s: %s is more than %s", less.reason, less.a, less.b)
		}
	}
}
