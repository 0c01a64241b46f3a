package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// TestGains: why a node is to announce an address, since when, and whether it keeps it from the one that it replaces.
func TestGains(t *testing.T) {
	a, k := netip.MustParseAddr("192.0.2.7"), announce.Key{Namespace: "ns", Name: "web"}
	learned, missed, now := time.Unix(100, 0), time.Unix(99, 0), time.Unix(101, 0)
	for name, tc := range map[string]struct {
		reason   string
		record   string
		presence announce.Presence // of node-2
		fresh    bool
		cause    Cause
		since    time.Time
		keeps    bool
	}{
		"New":      {"nobody announced it before", "", announce.Alive, true, CauseNew, learned, false},
		"Resumed":  {"this node did", "192.0.2.7=node-1,node-2", announce.Alive, false, CauseResumed, learned, false},
		"Moved":    {"another one did, which is there", "192.0.2.7=node-2,node-1", announce.Alive, false, CauseMoved, learned, false},
		"NodeLost": {"another one did, which is gone", "192.0.2.7=node-2,node-1", announce.Gone, false, CauseNodeLost, missed, true},
		"NewLost":  {"the node that was to be the first is gone: it takes nothing when it returns", "192.0.2.7=node-2,node-1", announce.Gone, true, CauseNew, learned, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := newWorld("node-1"), newPlan("node-1", 0, 0, false)
			w.putService(k, held{shown: []netip.Addr{a}, announcers: tc.record})
			w.gossip.Peers = map[string]Peer{"node-2": {Presence: tc.presence, Missed: missed}}
			w.since = learned
			p.of[a] = []announce.Announcement{{Service: k, Address: a, Node: "node-1", Fresh: tc.fresh}}
			p.gained(w, a, now)
			if want := (Gain{a, tc.cause, tc.since}); len(p.gains) != 1 || p.gains[0] != want {
				t.Errorf("%s: %+v, want %+v", tc.reason, p.gains, want)
			}
			if keeps := w.recovery.elsewhere[a].node == "node-1"; keeps != tc.keeps {
				t.Errorf("%s: kept: %t", tc.reason, keeps)
			}
		})
	}
}
