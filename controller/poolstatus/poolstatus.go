// Package poolstatus writes into each IPAddressPool how many of its addresses
// are in use. controller/assign says what is in use; changes that come in quick
// succession are written together.
package poolstatus

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/ipam"
)

// gather is how long changes of a pool's use are gathered before they are written.
const gather = 300 * time.Millisecond

// Usage is how much of a pool is in use, by family; nil while that is not known.
type Usage = map[config.Family]ipam.Usage

// A Reconciler keeps the counts in the status of pools true.
type Reconciler struct {
	Client client.Client
	// Usage returns how much of a pool is in use.
	Usage func(pool string) Usage
	// Released returns which addresses of a pool were given back last, given those that it remembers.
	Released func(pool string, before []v1beta1.ReleasedAddress) []v1beta1.ReleasedAddress
	Changed  <-chan string
}

// SetupWithManager has the manager run the Reconciler while this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).Named("poolstatus").
		For(&v1beta1.IPAddressPool{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, recounted()))).
		WatchesRawSource(source.Func(r.forward)).
		Complete(r)
}

// recounted lets pools through whose counts somebody has changed, so that they are put right.
func recounted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1beta1.IPAddressPool)
			after, also := e.ObjectNew.(*v1beta1.IPAddressPool)
			return ok && also && counts(before.Status) != counts(after.Status)
		},
	}
}

// forward enqueues the pools whose use changes. What is waiting already is not
// enqueued twice.
func (r *Reconciler) forward(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case name := <-r.Changed:
				q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}, gather)
			}
		}
	}()
	return nil
}

// Reconcile counts one pool.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var pool v1beta1.IPAddressPool
	if err := r.Client.Get(ctx, req.NamespacedName, &pool); err != nil {
		if apierrors.IsNotFound(err) {
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("get pool: %w", err)
	}
	usage := r.Usage(req.Name)
	if usage == nil {
		return reconcile.Result{RequeueAfter: gather}, nil
	}

	after := pool.DeepCopy()
	count(&after.Status, usage)
	after.Status.Released = r.Released(req.Name, pool.Status.Released)
	if counts(pool.Status) == counts(after.Status) && equality.Semantic.DeepEqual(pool.Status.Released, after.Status.Released) {
		return reconcile.Result{}, nil
	}
	if err := r.Client.Status().Patch(ctx, after, client.MergeFrom(&pool)); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("patch status of pool: %w", err)
	}
	return reconcile.Result{}, nil
}

func count(s *v1beta1.IPAddressPoolStatus, u Usage) {
	s.TotalIPv4, s.AssignedIPv4, s.AvailableIPv4 = u[config.IPv4].Total, u[config.IPv4].Assigned, u[config.IPv4].Available
	s.TotalIPv6, s.AssignedIPv6, s.AvailableIPv6 = u[config.IPv6].Total, u[config.IPv6].Assigned, u[config.IPv6].Available
	s.UsedIPv4, s.UsedIPv6 = u[config.IPv4].String(), u[config.IPv6].String()
}

// counted is the part of a status that is counted.
type counted struct {
	numbers [6]int64
	texts   [2]string
}

func counts(s v1beta1.IPAddressPoolStatus) counted {
	return counted{
		[...]int64{s.TotalIPv4, s.AssignedIPv4, s.AvailableIPv4, s.TotalIPv6, s.AssignedIPv6, s.AvailableIPv6},
		[...]string{s.UsedIPv4, s.UsedIPv6},
	}
}
