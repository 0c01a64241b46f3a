// Package gossipkey makes the Secret whose key the speakers encrypt with what they
// say to each other, where there is none. Reading it is left to them.
package gossipkey

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// A Reconciler makes the Secret.
type Reconciler struct {
	Client    client.Client
	Namespace string
}

// SetupWithManager has the manager run the Reconciler while this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).Named("gossipkey").
		Watches(&corev1.Secret{}, &handler.EnqueueRequestForObject{}).
		WatchesRawSource(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			q.Add(r.request())
			return nil
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(r)
}

func (r *Reconciler) request() reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Namespace, Name: kube.GossipSecret}}
}

// Reconcile makes the Secret if it is not there. One that somebody else has made is left as it is, so
// that keys can be managed from outside.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var have corev1.Secret
	err := r.Client.Get(ctx, r.request().NamespacedName, &have)
	if !apierrors.IsNotFound(err) {
		return reconcile.Result{}, err
	}
	random := func(b []byte) { _, _ = rand.Read(b) } // it never fails
	if err := r.Client.Create(ctx, kube.NewGossipSecret(r.Namespace, random)); err != nil && !apierrors.IsAlreadyExists(err) {
		return reconcile.Result{}, fmt.Errorf("make Secret %s: %w", kube.GossipSecret, err)
	}
	return reconcile.Result{}, nil
}
