package assign

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// patience is how long another implementation may take before a Service that
// Fairlead does not serve is taken for one that nobody does.
const patience = 10 * time.Second

// unserved tells the user of a Service that is not Fairlead's, if it waits for a
// load balancer: its class may be misspelt. The Service is not touched, and
// told once.
func (r *Reconciler) unserved(svc *corev1.Service) reconcile.Result {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || !svc.DeletionTimestamp.IsZero() || len(svc.Status.LoadBalancer.Ingress) > 0 {
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
