package node

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestImpaired(t *testing.T) {
	type step struct {
		after time.Duration
		wrong bool
	}
	const long = 10 * time.Second
	cases := map[string]struct {
		reason string
		steps  []step
		// want is when it was impaired, and when not any more.
		want []time.Duration
	}{
		"Well":     {"nothing is wrong", []step{{0, false}, {long, false}}, nil},
		"Long":     {"what is wrong for long impairs, without being told again", []step{{0, true}, {long, true}}, []time.Duration{settle}},
		"Over":     {"until it is well: at once", []step{{0, true}, {long, false}}, []time.Duration{settle, long}},
		"Short":    {"what is soon over does not", []step{{0, true}, {settle - 1, false}, {long, false}}, nil},
		"Often":    {"nor if it comes again and again", []step{{0, true}, {2 * time.Second, false}, {time.Millisecond, true}, {2 * time.Second, false}, {long, false}}, nil},
		"Again":    {"it counts from when it began last", []step{{0, true}, {time.Second, false}, {time.Second, true}, {long, true}}, []time.Duration{2*time.Second + settle}},
		"Repeated": {"that other things are wrong meanwhile gives no more time", []step{{0, true}, {time.Second, true}, {time.Second, true}, {long, true}}, []time.Duration{settle}},
		"Twice":    {"after it was well the time begins again", []step{{0, true}, {long, false}, {long, true}, {long, false}}, []time.Duration{settle, long, 2*long + settle, 3 * long}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h health
				var reporting sync.Mutex
				var got []time.Duration
				began, wrong, was := time.Now(), false, false
				var look func()
				look = func() { // as report is called, by whoever has news
					reporting.Lock()
					defer reporting.Unlock()
					if is := h.impaired(wrong, look); is != was {
						was = is
						got = append(got, time.Since(began))
					}
				}
				for _, s := range tc.steps {
					time.Sleep(s.after)
					synctest.Wait()
					reporting.Lock()
					wrong = s.wrong
					reporting.Unlock()
					look()
				}
				time.Sleep(settle)
				synctest.Wait()
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}
