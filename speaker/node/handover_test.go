package node

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntilIdle(t *testing.T) {
	const long, limit = time.Second, 5 * time.Second
	cases := map[string]struct {
		reason string
		busy   []time.Duration // when it becomes busy, and idle, in turn, from being idle on
		want   time.Duration
	}{
		"Idle":     {"nothing to do: neighbours may still ask", nil, long},
		"Over":     {"it waits for what is there, and a while longer", []time.Duration{0, 2 * time.Second}, 3 * time.Second},
		"Meantime": {"what comes meanwhile too", []time.Duration{500 * time.Millisecond, 700 * time.Millisecond}, 1700 * time.Millisecond},
		"TooLong":  {"but not for ever", []time.Duration{0}, limit},
		"Often":    {"whatever comes and goes", []time.Duration{0, time.Second, 1900 * time.Millisecond, 2 * time.Second}, 3 * time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, news := time.Now(), make(chan struct{}, 1)
				var busy atomic.Bool
				for _, at := range tc.busy {
					time.AfterFunc(at, func() {
						busy.Store(!busy.Load())
						news <- struct{}{}
					})
				}
				synctest.Wait()
				untilIdle(news, busy.Load, long, began.Add(limit))
				if took := time.Since(began); took != tc.want {
					t.Errorf("%s: %s, want %s", tc.reason, took, tc.want)
				}
			})
		})
	}
}

// A part ends when it is told to, while others run on, and with all others.
func TestPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan string, 2)
		run := func(name string) *part {
			p := newPart(func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second) // it has something to say at the end
				ended <- name
				return nil
			})
			return p
		}
		one, other := run("one"), run("other")
		ctx, stop := context.WithCancel(t.Context())
		for _, p := range []*part{one, other} {
			go func() { _ = p.Start(ctx) }()
		}
		began := time.Now()
		one.end(began.Add(5 * time.Second))
		if got := <-ended; got != "one" || time.Since(began) != time.Second {
			t.Errorf("%s ended after %s", got, time.Since(began))
		}
		stop()
		if got := <-ended; got != "other" {
			t.Errorf("%s ended with all", got)
		}
	})
}
