package assign

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	crevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/fairlead-lb/fairlead/ipam"
)

// noteArrival notes when a Service came to want its first address. It lets everything through.
func (r *Reconciler) noteArrival() predicate.TypedPredicate[*corev1.Service] {
	wants := func(svc *corev1.Service) bool {
		return r.Class.Serves(svc) && len(svc.Status.LoadBalancer.Ingress) == 0
	}
	note := func(svc *corev1.Service) {
		r.arrived.LoadOrStore(Request{Namespace: svc.Namespace, Name: svc.Name, Kind: ipam.Service}, time.Now())
	}
	return predicate.TypedFuncs[*corev1.Service]{
		CreateFunc: func(e crevent.TypedCreateEvent[*corev1.Service]) bool {
			if wants(e.Object) {
				note(e.Object)
			}
			return true
		},
		UpdateFunc: func(e crevent.TypedUpdateEvent[*corev1.Service]) bool {
			if wants(e.ObjectNew) && !r.Class.Serves(e.ObjectOld) {
				note(e.ObjectNew)
			}
			return true
		},
	}
}

// measure reports how long a Service waited for its first address. One that has to wait on, as there is none, is not measured.
func (r *Reconciler) measure(key ipam.Key, before, after *corev1.Service) {
	since, ok := r.arrived.LoadAndDelete(key)
	if at, isTime := since.(time.Time); ok && isTime && r.Assigned != nil &&
		len(before.Status.LoadBalancer.Ingress) == 0 && len(after.Status.LoadBalancer.Ingress) > 0 {
		r.Assigned(time.Since(at))
	}
}
