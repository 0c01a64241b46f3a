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
	s := schedule{}
	one, two := target{1, vip}, target{2, vip}
	s.gain(one, start)
	s.gain(two, start.Add(200*time.Millisecond))
	var got []string
	for now := start; now.Before(start.Add(10 * time.Second)); {
		for _, d := range s.due(now) {
			got = append(got, fmt.Sprint(d.link, " at ", now.Sub(start)))
		}
		if now.Equal(start.Add(300 * time.Millisecond)) {
			s.drop(two)
		}
		wait, ok := s.next(now)
		if !ok {
			break
		}
		now = now.Add(wait)
	}
	want := []string{"1 at 0s", "2 at 200ms", "1 at 300ms", "1 at 1s", "1 at 3s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}
