// Package conditions tells operators whether their objects are accepted: it
// builds the configuration whenever an object changes and writes what config
// says of each into its condition Accepted, and of a pool into its condition
// Overlapping too. An object is written only when a condition changes. Putting
// the configuration in force is left to others.
package conditions

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// A Reconciler writes the conditions Accepted and Overlapping.
type Reconciler struct {
	Client client.Client
	// Live reads from the API server: what is not known to be there cannot be watched.
	Live     client.Reader
	Recorder events.EventRecorder

	// networked: there are ServiceCIDRs to read. Set before the first Reconcile.
	networked bool
}

// Reconcile judges all objects together, since what is wrong with one may be due to another.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var pools v1beta1.IPAddressPoolList
	var l2 v1beta1.L2AdvertisementList
	reserved, err := r.reserved(ctx)
	if err := errors.Join(err, r.Client.List(ctx, &pools), r.Client.List(ctx, &l2)); err != nil {
		return reconcile.Result{}, fmt.Errorf("list the configuration: %w", err)
	}

	_, problems := config.Build(config.Objects{Pools: pools.Items, L2Advertisements: l2.Items, Reserved: reserved})
	byObject := map[config.Ref][]config.Problem{}
	for _, p := range problems {
		byObject[p.Ref] = append(byObject[p.Ref], p)
	}

	again := reconcile.Result{}
	var errs []error
	tell := func(o client.Object, problems []config.Problem) {
		err := r.write(ctx, o, problems)
		if apierrors.IsConflict(err) {
			again.RequeueAfter = catchUp
			return
		}
		errs = append(errs, err)
	}
	for i := range pools.Items {
		o := &pools.Items[i]
		tell(o, byObject[config.Ref{Kind: config.IPAddressPool, Name: o.Name}])
	}
	for i := range l2.Items {
		o := &l2.Items[i]
		tell(o, byObject[config.Ref{Kind: config.L2Advertisement, Name: o.Name}])
	}
	return again, errors.Join(errs...)
}

// catchUp is how long a newer version of an object may be on its way here.
const catchUp = 50 * time.Millisecond

func (r *Reconciler) write(ctx context.Context, o client.Object, problems []config.Problem) error {
	after, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return nil
	}
	changed := false
	var told []metav1.Condition
	for _, c := range judge(o, problems) {
		before := meta.FindStatusCondition(*conditionsOf(o), c.Type)
		if !meta.SetStatusCondition(conditionsOf(after), c) {
			continue
		}
		changed = true
		if newsworthy(before, &c) {
			told = append(told, c)
		}
	}
	if changed = accept(after, problems) || changed; !changed {
		return nil
	}
	patch := client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{})
	switch err := r.Client.Status().Patch(ctx, after, patch); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("patch status of %s: %w", o.GetName(), err)
	}
	for _, c := range told {
		r.Recorder.Eventf(after, nil, corev1.EventTypeWarning, c.Reason, "Accept", "%s", c.Message)
	}
	return nil
}
