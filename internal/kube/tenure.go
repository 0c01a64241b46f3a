package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Timing is that of a leader election, as client-go defines it.
type Timing struct {
	// LeaseDuration is how long after its last renewal nobody else takes a Lease.
	LeaseDuration time.Duration
	// RenewDeadline is how long a leader tries to renew before it gives up.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two tries.
	RetryPeriod time.Duration
}

// A Tenure is the time during which a replica may write as the leader. It is the lock of a
// leader election, and ends RenewDeadline after the last renewal was asked for, whether or
// not the process was there to notice: one that was paused and goes on finds it over. What
// is then under way has the rest of LeaseDuration to arrive.
type Tenure struct {
	resourcelock.Interface
	timing Timing
	until  atomic.Pointer[time.Time]
}

// ErrTenureOver is why the context of a Tenure has ended.
var ErrTenureOver = errors.New("another replica may lead by now")

// NewTenure returns the Tenure of whoever holds a Lease.
func NewTenure(rc *rest.Config, namespace, name string, timing Timing) (*Tenure, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find a name for this replica: %w", err)
	}
	rc = rest.AddUserAgent(rest.CopyConfig(rc), "leader-election")
	rc.Timeout = max(timing.RenewDeadline/2, time.Second) // else one hung request would cost the lead
	client, err := coordination.NewForConfig(rc)
	if err != nil {
		return nil, err
	}
	return &Tenure{timing: timing, Interface: &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
	}}, nil
}

// Create makes the Lease.
func (t *Tenure) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return t.renew(r, func() error { return t.Interface.Create(ctx, r) })
}

// Update renews or releases the Lease.
func (t *Tenure) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return t.renew(r, func() error { return t.Interface.Update(ctx, r) })
}

func (t *Tenure) renew(r resourcelock.LeaderElectionRecord, write func() error) error {
	until := time.Now().Add(t.timing.RenewDeadline)
	if r.HolderIdentity != t.Identity() {
		until = time.Time{}
		t.until.Store(&until) // released: nothing is written from now on
	}
	if err := write(); err != nil {
		return err
	}
	t.until.Store(&until)
	return nil
}

// Context returns a context that ends with the Tenure as it stands. A nil Tenure never ends.
func (t *Tenure) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	if t == nil {
		return ctx, func() {}
	}
	until := t.until.Load()
	// The clock of Go stands still while a machine sleeps; the time of day does not.
	if until == nil || !time.Now().Round(0).Before(until.Round(0)) {
		until = &time.Time{}
	}
	return context.WithDeadlineCause(ctx, *until, ErrTenureOver)
}
