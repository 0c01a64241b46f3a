package kube

import (
	"context"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Soon is for a reconciler that looks at everything at once: it does so a while after the first change, and so sees together what came together.
func Soon(after time.Duration) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	again := func(q queue) { q.AddAfter(reconcile.Request{}, after) }
	return handler.Funcs{
		CreateFunc:  func(_ context.Context, _ event.CreateEvent, q queue) { again(q) },
		UpdateFunc:  func(_ context.Context, _ event.UpdateEvent, q queue) { again(q) },
		DeleteFunc:  func(_ context.Context, _ event.DeleteEvent, q queue) { again(q) },
		GenericFunc: func(_ context.Context, _ event.GenericEvent, q queue) { again(q) },
	}
}
