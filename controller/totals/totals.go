// Package totals counts what all objects say together, whenever metrics are read. It keeps nothing, so that no number outlives what
// it is about.
package totals

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/controller/conditions"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/metrics"
)

// A Reader counts.
type Reader struct {
	// Client reads from the cache.
	Client client.Reader
	Class  kube.Class
	// Leading is closed while this replica leads; others say nothing.
	Leading <-chan struct{}
	// Pools returns the use of all pools.
	Pools func() []metrics.Pool
}

// timeout is for reading the cache, which is in memory.
const timeout = 5 * time.Second

// Totals counts; false where another replica leads, or the cache cannot be read.
func (r *Reader) Totals() (metrics.Totals, bool) {
	select {
	case <-r.Leading:
	default:
		return metrics.Totals{}, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	t, err := r.count(ctx)
	return t, err == nil
}

func (r *Reader) count(ctx context.Context) (metrics.Totals, error) {
	var services corev1.ServiceList
	if err := r.Client.List(ctx, &services, client.UnsafeDisableDeepCopy); err != nil { // nothing is written to
		return metrics.Totals{}, fmt.Errorf("list Services: %w", err)
	}
	var claims v1beta1.IPClaimList
	if err := r.Client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return metrics.Totals{}, fmt.Errorf("list IPClaims: %w", err)
	}
	objects, err := conditions.Count(ctx, r.Client)
	if err != nil {
		return metrics.Totals{}, err
	}
	t := metrics.Totals{Pools: r.Pools(), Objects: objects, Claims: map[string]int{}}
	t.Services, t.OldestPending = countServices(services.Items, r.Class, time.Now())
	for i := range claims.Items {
		t.Claims[reason(claims.Items[i].Status.Conditions, v1beta1.ConditionBound)]++
	}
	return t, nil
}

// countServices counts those of a class by the reasons of their conditions, and says how long the one waits that has waited longest.
func countServices(all []corev1.Service, class kube.Class, now time.Time) (by map[metrics.ServiceState]int, oldest time.Duration) {
	by = map[metrics.ServiceState]int{}
	for i := range all {
		svc := &all[i]
		if !class.Serves(svc) {
			continue
		}
		cs := svc.Status.Conditions
		by[metrics.ServiceState{
			Assigned: reason(cs, v1beta1.ServiceConditionAssigned), Announced: reason(cs, v1beta1.ServiceConditionAnnounced),
		}]++
		if len(svc.Status.LoadBalancer.Ingress) == 0 && svc.DeletionTimestamp == nil {
			oldest = max(oldest, now.Sub(pendingSince(svc)))
		}
	}
	return by, oldest
}

// pendingSince is when a Service began to wait for an address.
func pendingSince(svc *corev1.Service) time.Time {
	if c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAssigned); c != nil {
		return c.LastTransitionTime.Time
	}
	return svc.CreationTimestamp.Time
}

func reason(cs []metav1.Condition, kind string) string {
	if c := meta.FindStatusCondition(cs, kind); c != nil {
		return c.Reason
	}
	return metrics.None
}
