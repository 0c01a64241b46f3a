// Package conditions tells operators whether their objects are accepted: it
// builds the configuration whenever an object changes and writes what config
// says of each into its condition Accepted. An object is written only when its
// condition changes. Putting the configuration in force is left to others.
package conditions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// reasonAccepted is the reason of the condition where there is no problem.
const reasonAccepted = "Accepted"

// A Reconciler writes the condition Accepted.
type Reconciler struct {
	Client   client.Client
	Recorder events.EventRecorder
}

// SetupWithManager has the manager run the Reconciler while this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	one := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{}}
	})
	return builder.ControllerManagedBy(mgr).Named("conditions").
		Watches(&v1beta1.IPAddressPool{}, one).
		Watches(&v1beta1.L2Advertisement{}, one).
		WithEventFilter(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}, conditionsChanged())).
		Complete(r)
}

// conditionsChanged lets through what somebody else may have done to a condition of ours.
func conditionsChanged() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool {
		c := conditionsOf(o)
		return c == nil || meta.FindStatusCondition(*c, v1beta1.ConditionAccepted) == nil
	})
}

// Reconcile judges all objects together, since what is wrong with one may be due to another.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var pools v1beta1.IPAddressPoolList
	var l2 v1beta1.L2AdvertisementList
	if err := errors.Join(r.Client.List(ctx, &pools), r.Client.List(ctx, &l2)); err != nil {
		return reconcile.Result{}, fmt.Errorf("list the configuration: %w", err)
	}

	_, problems := config.Build(config.Objects{Pools: pools.Items, L2Advertisements: l2.Items})
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
	if !ok || !meta.SetStatusCondition(conditionsOf(after), condition(o.GetGeneration(), problems)) {
		return nil
	}
	patch := client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{})
	switch err := r.Client.Status().Patch(ctx, after, patch); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("patch status of %s: %w", o.GetName(), err)
	}
	if len(problems) > 0 {
		c := meta.FindStatusCondition(*conditionsOf(after), v1beta1.ConditionAccepted)
		r.Recorder.Eventf(after, nil, corev1.EventTypeWarning, c.Reason, "Accept", "%s", c.Message)
	}
	return nil
}

func condition(generation int64, problems []config.Problem) metav1.Condition {
	c := metav1.Condition{
		Type: v1beta1.ConditionAccepted, ObservedGeneration: generation,
		Status: metav1.ConditionTrue, Reason: reasonAccepted, Message: "in force",
	}
	if len(problems) == 0 {
		return c
	}
	c.Status, c.Reason = metav1.ConditionFalse, string(problems[0].Reason)
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message
	}
	c.Message = strings.Join(messages, "; ")
	return c
}

// conditionsOf returns where an object keeps its conditions, nil for another kind.
func conditionsOf(o client.Object) *[]metav1.Condition {
	switch o := o.(type) {
	case *v1beta1.IPAddressPool:
		return &o.Status.Conditions
	case *v1beta1.L2Advertisement:
		return &o.Status.Conditions
	default:
		return nil
	}
}
