package outage

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// says makes a Report of a connected speaker.
func says(node string, lost ...string) Report { return Report{node, true, lost} }

// TestLost: most of those who can tell must say so, and two at least.
func TestLost(t *testing.T) {
	for name, tc := range map[string]struct {
		nodes   int
		reports []Report
		want    []string
	}{
		"Nothing":  {3, []Report{says("a"), says("b"), says("c")}, nil},
		"OneOf3":   {3, []Report{says("a", "c"), says("b", "c"), says("c")}, []string{"c"}},
		"OneAlone": {3, []Report{says("a", "c"), says("b"), says("c")}, nil},
		"TwoNodes": {2, []Report{says("a", "b"), says("b")}, nil},
		"CutOff": { // one that hears nobody says that all are lost
			4, []Report{says("a"), says("b"), says("c"), says("d", "a", "b", "c")}, nil,
		},
		"CutOffAndReported": {4, []Report{says("a", "d"), says("b", "d"), says("c", "d"), says("d", "a", "b", "c")}, []string{"d"}},
		"Minority":          {5, []Report{says("a", "e"), says("b", "e"), says("c"), says("d"), says("e")}, nil},
		"Majority":          {5, []Report{says("a", "e"), says("b", "e"), says("c", "e"), says("d"), says("e")}, []string{"e"}},
		"Unconnected":       {4, []Report{{"a", false, []string{"d"}}, says("b", "d"), says("c"), says("d")}, nil},
		"TwoOf5":            {5, []Report{says("a", "d", "e"), says("b", "d", "e"), says("c", "d", "e"), says("d"), says("e")}, []string{"d", "e"}},
		"MostOf4":           {4, []Report{says("a", "b", "c", "d"), says("b"), says("c"), says("d")}, nil},
		"Halves": { // each half says that the other is lost
			4, []Report{says("a", "c", "d"), says("b", "c", "d"), says("c", "a", "b"), says("d", "a", "b")}, nil,
		},
		"Itself":    {3, []Report{says("a", "a", "c"), says("b", "c", "c"), says("c", "c")}, []string{"c"}},
		"DeadVoter": {4, []Report{says("a", "c", "d"), says("b", "c", "d"), says("c"), says("d")}, []string{"c", "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Lost(tc.nodes, tc.reports)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLostProperties: whatever is reported, no one speaker can have a node marked, nobody votes about itself, at most half are
// lost, and who reports in which order does not matter.
func TestLostProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "nodes")
		name := func(i int) string { return fmt.Sprintf("node-%d", i) }
		var reports []Report
		for i := range n {
			r := Report{Node: name(i), Connected: rapid.Bool().Draw(t, "connected")}
			for j := range n {
				if rapid.Bool().Draw(t, "lost") {
					r.Lost = append(r.Lost, name(j))
				}
			}
			reports = append(reports, r)
		}
		got := Lost(n, reports)
		if 2*len(got) > n {
			t.Fatalf("%d of %d nodes are lost", len(got), n)
		}
		for _, node := range got {
			by := 0
			for _, r := range reports {
				if r.Connected && r.Node != node && slices.Contains(r.Lost, node) && !slices.Contains(got, r.Node) {
					by++
				}
			}
			if by < least {
				t.Fatalf("%s is lost, but reported by %d of those who are not", node, by)
			}
		}
		slices.Reverse(reports)
		if diff := cmp.Diff(got, Lost(n, reports)); diff != "" {
			t.Fatalf("in another order (-want +got):\n%s", diff)
		}
	})
}

// TestEpisodes: a node is marked once each time it is lost, and later each time if it comes and goes.
func TestEpisodes(t *testing.T) {
	begin := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	e := episodes{}
	step := func(after time.Duration, lost []string, want []string, again time.Duration) {
		t.Helper()
		now := begin.Add(after)
		mark, wait := e.due(lost, now)
		if !slices.Equal(mark, want) || wait != again {
			t.Fatalf("after %s: %v, again in %s; want %v, %s", after, mark, wait, want, again)
		}
		for _, node := range mark {
			e.done(node, now)
		}
	}
	a := []string{"a"}
	step(0, a, a, 0)
	step(time.Second, a, nil, 0)                                            // once
	step(2*time.Second, nil, nil, 0)                                        // it is back
	step(4*time.Second, a, nil, 6*time.Second)                              // and gone again: not before 10 s
	step(10*time.Second, a, a, 0)                                           // now it is
	step(11*time.Second, nil, nil, 0)                                       //
	step(14*time.Second, a, nil, 16*time.Second)                            // 20 s this time
	step(15*time.Second, []string{"a", "b"}, []string{"b"}, 15*time.Second) // another is not concerned
	step(16*time.Second, nil, nil, 0)
	step(16*time.Second+forgiveness+1, nil, nil, 0)
	step(32*time.Second, a, a, 0) // forgotten
	for times, want := range map[int]time.Duration{0: 0, 1: firstPause, 2: 2 * firstPause, 6: 320 * time.Second, 7: longest, 100: longest} {
		if got := (&episode{times: times}).pause(); got != want {
			t.Errorf("after %d times: %s, want %s", times, got, want)
		}
	}
}

// TestFailed: what could not be done is tried again.
func TestFailed(t *testing.T) {
	e, now := episodes{}, time.Now()
	for range 3 {
		if mark, _ := e.due([]string{"a"}, now); !slices.Equal(mark, []string{"a"}) {
			t.Fatalf("got %v", mark)
		}
	}
}
