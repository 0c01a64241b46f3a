package kube

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lock answers as it is told to.
type lock struct {
	resourcelock.Interface
	takes time.Duration
	err   error
}

func (*lock) Identity() string { return "me" }
func (l *lock) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	time.Sleep(l.takes)
	return l.err
}

func (l *lock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.Create(ctx, r)
}

func TestTenure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lock{takes: time.Second}
		tenure := &Tenure{Interface: l, timing: Timing{LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second}}
		left := func() time.Duration {
			ctx, cancel := tenure.Context(t.Context())
			defer cancel()
			if err := context.Cause(ctx); err != nil {
				if !errors.Is(err, ErrTenureOver) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("ended by %v", err)
				}
				return 0
			}
			until, _ := ctx.Deadline()
			return time.Until(until)
		}
		want := func(reason string, want time.Duration) {
			t.Helper()
			if got := left(); got != want {
				t.Errorf("%s: %s is left, want %s", reason, got, want)
			}
		}
		mine := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}

		want("Nobody leads before the election.", 0)
		_ = tenure.Create(t.Context(), mine)
		want("A tenure counts from when it was asked for.", 9*time.Second)
		time.Sleep(4 * time.Second)
		l.err = errors.New("connection refused")
		_ = tenure.Update(t.Context(), mine)
		want("A renewal that failed prolongs nothing.", 4*time.Second)
		l.err = nil
		_ = tenure.Update(t.Context(), mine)
		want("One that did not, does.", 9*time.Second)
		time.Sleep(9 * time.Second)
		want("Who slept too long leads no more.", 0)
		_ = tenure.Update(t.Context(), mine)
		l.err = errors.New("connection refused")
		_ = tenure.Update(t.Context(), resourcelock.LeaderElectionRecord{})
		want("Who lets go leads no more, even if that fails.", 0)
	})
	var none *Tenure
	if ctx, _ := none.Context(t.Context()); ctx.Err() != nil {
		t.Error("without an election there is no end")
	}
}

// The election has a timeout of its own; with it, every watch of the process would end.
func TestNewTenureLeavesTheConfig(t *testing.T) {
	rc := &rest.Config{Host: "https://192.0.2.1"}
	if _, err := NewTenure(rc, "ns", "name", Timing{RenewDeadline: 10 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if rc.Timeout != 0 || rc.UserAgent != "" {
		t.Errorf("timeout %s, user agent %q: want what they were", rc.Timeout, rc.UserAgent)
	}
}
