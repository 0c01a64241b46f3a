package assign

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	crevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// writers is how many statuses are written at the same time. Deciding is serial.
const writers = 16

// slowest is how rarely, at least, a write is tried that is refused again and again.
const slowest = 30 * time.Second

// SetupWithManager has the manager run the Reconciler while this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	c, err := controller.NewTyped("assign", mgr, controller.TypedOptions[Request]{
		Reconciler: r, MaxConcurrentReconciles: writers,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[Request](5*time.Millisecond, slowest),
	})
	if err != nil {
		return err
	}
	for _, s := range []source.TypedSource[Request]{
		source.TypedFunc[Request](func(_ context.Context, q workqueue.TypedRateLimitingInterface[Request]) error {
			r.queue = q
			return nil
		}),
		source.TypedKind(mgr.GetCache(), &corev1.Service{}, byName[*corev1.Service](ipam.Service), r.noteArrival()),
		source.TypedKind(mgr.GetCache(), &v1beta1.IPClaim{}, byName[*v1beta1.IPClaim](ipam.Claim)),
		source.TypedKind(mgr.GetCache(), &v1beta1.IPAddressPool{}, always[*v1beta1.IPAddressPool](configuration),
			predicate.TypedGenerationChangedPredicate[*v1beta1.IPAddressPool]{}),
		source.TypedKind(mgr.GetCache(), &v1beta1.SpeakerStatus{}, always[*v1beta1.SpeakerStatus](sightings), reportsOtherConflicts),
		source.TypedKind[client.Object](mgr.GetCache(), kube.Namespace(""), r.relabelled(),
			predicate.LabelChangedPredicate{}),
	} {
		if err := c.Watch(s); err != nil {
			return err
		}
	}
	return nil
}

func byName[T client.Object](kind ipam.Kind) handler.TypedEventHandler[T, Request] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, o T) []Request {
		return []Request{{Namespace: o.GetNamespace(), Name: o.GetName(), Kind: kind}}
	})
}

func always[T client.Object](req Request) handler.TypedEventHandler[T, Request] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(context.Context, T) []Request { return []Request{req} })
}

// reportsOtherConflicts is whether a SpeakerStatus has changed as far as it says anything of conflicts.
var reportsOtherConflicts = predicate.TypedFuncs[*v1beta1.SpeakerStatus]{
	CreateFunc: func(e crevent.TypedCreateEvent[*v1beta1.SpeakerStatus]) bool {
		return len(e.Object.Status.Conflicts) > 0
	},
	DeleteFunc: func(e crevent.TypedDeleteEvent[*v1beta1.SpeakerStatus]) bool {
		return len(e.Object.Status.Conflicts) > 0
	},
	UpdateFunc: func(e crevent.TypedUpdateEvent[*v1beta1.SpeakerStatus]) bool {
		return !slices.Equal(e.ObjectOld.Status.Conflicts, e.ObjectNew.Status.Conflicts)
	},
}

// relabelled has the Services looked at that wait in a Namespace whose labels have changed.
func (r *Reconciler) relabelled() handler.TypedEventHandler[client.Object, Request] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, ns client.Object) []Request {
		out := r.ledger.relabel(ns.GetName(), ns.GetLabels())
		for _, p := range out.touched {
			r.PoolChanged(p)
		}
		return out.others
	})
}
