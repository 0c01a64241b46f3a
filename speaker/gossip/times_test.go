package gossip

import (
	"testing"
	"time"
)

// TestTimes: the times of this package depend on each other.
func TestTimes(t *testing.T) {
	for _, less := range []struct {
		reason string
		a, b   time.Duration
	}{
		{"a heartbeat is sent with one that is heard rather than by the clock", nearly, beatInterval},
		{"the others of the ring wait for the first", beatInterval, ownPace},
		{"two lost heartbeats are no suspicion", 2*ownPace + beatInterval/10, late},
		{"one who is not woken in time suspects nobody", stalled, beatInterval},
		{"heartbeats notice before memberlist does", late, probeInterval},
		{"a kernel is asked twice while it has time to answer", 2 * again, patience},
		{"it is not asked again before it has answered or not", patience, checkInterval},
		{"two checks in a row are over before the next round of gossip", misses * checkInterval, gossipInterval},
		{"a kernel that looks for its neighbour once a second has asked twice", 2 * time.Second, resolving},
		{"the missing are called while a speaker is not deaf yet", 10 * meet, deaf},
		{"who is told of late has heard before it is suspected", gossipInterval, settling},
		{"a former key is understood until all speakers have read the new one", 10 * gossipInterval, overlap},
		{"an answer to a question comes within a probe", probeTimeout, answerWithin},
	} {
		if less.a > less.b {
			t.Errorf("%s: %s is more than %s", less.reason, less.a, less.b)
		}
	}
}
