package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/agent"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// TestGains: each address that is gained is measured once, when it is answered for, and not if it is taken back before.
func TestGains(t *testing.T) {
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	start := time.Unix(1_000_000, 0)
	var got []string
	g := gains{report: func(cause string, took time.Duration) { got = append(got, cause+" "+took.String()) }}
	tasks := []announce.Task{{Addr: a, Mode: announce.Own}, {Addr: b, Mode: announce.Fresh}, {Addr: c, Mode: announce.Own}}
	g.answered([]netip.Addr{a}, start) // before anything is expected
	g.expect([]agent.Gain{{Addr: a, Cause: agent.CauseNodeLost, Since: start}, {Addr: b, Cause: agent.CauseNew, Since: start}, {Addr: c, Cause: agent.CauseMoved, Since: start}}, tasks)
	g.answered([]netip.Addr{a}, start.Add(time.Second))
	g.answered([]netip.Addr{a}, start.Add(2*time.Second))
	tasks[1].Mode = announce.Yielding
	g.expect(nil, tasks)
	g.answered([]netip.Addr{a, b}, start.Add(3*time.Second))
	g.answered([]netip.Addr{a, b, c}, start.Add(4*time.Second))
	if want := []string{"NodeLost 1s", "Moved 4s"}; !slices.Equal(got, want) {
		t.Errorf("measured %q, want %q", got, want)
	}
}
