package assign

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/ipam"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// patience is how long another implementation may take before a Service that
// Fairlead does not serve is taken for one that nobody does.
const patience = 10 * time.Second

// unserved looks at a Service of a class that is not Fairlead's. What it shows is reserved, and never taken: a flag may have
// changed, and may change back. Only the conditions go, which would not be true for long.
func (r *Reconciler) unserved(ctx context.Context, key ipam.Key, svc *corev1.Service) (reconcile.Result, error) {
	r.Placer.Learn(announce.Key{Namespace: key.Namespace, Name: key.Name}, nil)
	r.spread(r.ledger.decide(ReservationOf(svc)))
	after := svc.DeepCopy()
	dropConditions(after)
	if _, err := r.write(ctx, svc, after); err != nil {
		return reconcile.Result{}, err
	}
	return r.misspelt(svc), nil
}

// misspelt tells the user of a Service that waits for a load balancer and that Fairlead does not serve, once: its class may be misspelt.
func (r *Reconciler) misspelt(svc *corev1.Service) reconcile.Result {
	if !svc.DeletionTimestamp.IsZero() || len(svc.Status.LoadBalancer.Ingress) > 0 {
		return reconcile.Result{}
	}
	if age := time.Since(svc.CreationTimestamp.Time); age < patience {
		return reconcile.Result{RequeueAfter: patience - age}
	}
	name := client.ObjectKeyFromObject(svc)
	if uid, told := r.told.Swap(name, svc.UID); !told || uid != svc.UID {
		r.Recorder.Eventf(svc, nil, corev1.EventTypeNormal, "ClassNotServed", "Assign", "%s is not served by Fairlead, which serves %s",
			classOf(svc), r.Class)
	}
	return reconcile.Result{}
}

func classOf(svc *corev1.Service) string {
	if svc.Spec.LoadBalancerClass == nil {
		return "a Service without a load balancer class"
	}
	return fmt.Sprintf("load balancer class %q", *svc.Spec.LoadBalancerClass)
}
