package responder

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSchedule(t *testing.T) {
	vip, start := netip.MustParseAddr("192.0.2.7"), time.Unix(0, 0)
	s := newSchedule()
	one, two, three := target{1, vip}, target{2, vip}, target{3, vip}
	s.start(one, gained, start)
	s.start(two, gained, start.Add(200*time.Millisecond))
	s.start(three, gained, start)
	var got []string
	for now := start; now.Before(start.Add(10 * time.Second)); now = now.Add(s.wait(now)) {
		for j := s.due(now); j != nil; j = s.due(now) {
			got = append(got, fmt.Sprint(j.target.link, " at ", now.Sub(start)))
			s.done(j, now)
		}
		if now.Equal(start.Add(300 * time.Millisecond)) {
			s.drop(two)
			s.dropLink(3)
		}
	}
	want := []string{"1 at 0s", "3 at 0s", "2 at 200ms", "1 at 300ms", "3 at 300ms", "1 at 1s", "1 at 3s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	s.drop(one)
	if w := s.wait(start); w != idle || s.later.Len()+s.ready.Len() > 0 {
		t.Errorf("with nothing to do: waits %s, and has %d and %d jobs", w, s.later.Len(), s.ready.Len())
	}
}

// TestUrgency has everything due at the same time.
func TestUrgency(t *testing.T) {
	start := time.Unix(0, 0)
	late := start.Add(time.Hour)
	at := func(n byte) target { return target{1, netip.AddrFrom4([4]byte{192, 0, 2, n})} }
	s := newSchedule()
	s.start(at(1), []step{refresh}, start)
	s.start(at(2), retold, start)
	s.start(at(3), []step{refresh}, start)
	s.start(at(4), gained, start.Add(time.Second))
	s.start(at(5), fresh, start.Add(2*time.Second))
	s.start(at(6), gained, start.Add(3*time.Second))
	s.due(late)
	s.restart(at(6), retold, start)  // which would come later
	s.restart(at(2), retold, start)  // which comes no later
	s.hasten(at(3), late)            // while it waits for its turn
	s.start(at(7), gained, late)     // after the others were due
	s.start(at(8), retold, late)     // which nobody waits for
	s.hasten(at(9), late)            // which there is nothing to be told of
	s.restart(at(10), retold, start) // which was told of nothing yet
	s.start(at(10), gained, late)    // instead
	s.start(at(11), gained, late)    // and
	s.drop(at(11))                   // not at all
	var got []string
	for j := s.due(late); j != nil && len(got) < 20; j = s.due(late) {
		got = append(got, fmt.Sprint(j.target.addr, " ", j.urgency))
		s.done(j, late)
	}
	want := []string{
		"192.0.2.4 0", "192.0.2.5 0", "192.0.2.6 0", "192.0.2.3 0", "192.0.2.7 0", "192.0.2.10 0",
		"192.0.2.2 1", "192.0.2.8 1",
		"192.0.2.1 2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

// TestClockJump: when the time of day is set, what is due stays due after as long.
func TestClockJump(t *testing.T) {
	s := newSchedule()
	at := target{1, netip.MustParseAddr("192.0.2.7")}
	for _, course := range [][]step{gained, retold, fresh, nil} {
		s.start(at, course, time.Now())
		for range len(course) + 2 { // and two refreshes
			j := s.later.first()
			if j.at.String() == j.at.Round(0).String() { // without a monotonic reading
				t.Fatalf("step %d of %v is due by the time of day", len(course)-len(j.course), course)
			}
			s.done(j, j.at)
		}
	}
}

// BenchmarkSchedule is what a refresh costs among thousands.
func BenchmarkSchedule(b *testing.B) {
	s, now := newSchedule(), time.Unix(0, 0)
	a := netip.MustParseAddr("10.0.0.1")
	for range 3000 {
		s.start(target{1, a}, nil, now)
		a = a.Next()
	}
	for b.Loop() {
		now = now.Add(s.wait(now))
		s.done(s.due(now), now)
	}
}
