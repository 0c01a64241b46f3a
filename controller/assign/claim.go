package assign

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// claim gathers, decides and applies for one IPClaim.
func (r *Reconciler) claim(ctx context.Context, key ipam.Key) (reconcile.Result, error) {
	name := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
	var before v1beta1.IPClaim
	err := r.Client.Get(ctx, name, &before)
	switch {
	case apierrors.IsNotFound(err):
		r.spread(r.ledger.release(key)) // who uses its addresses holds them too
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("get IPClaim: %w", err)
	}
	labels, err := r.labelsOf(ctx, key.Namespace)
	if err != nil {
		return reconcile.Result{}, err
	}

	out := r.ledger.decide(ClaimRequestOf(&before, labels))
	r.spread(out)

	after := before.DeepCopy()
	renderClaim(after, &out, time.Now())
	done := same
	if !equality.Semantic.DeepEqual(before.Status, after.Status) {
		done, err = r.writeStatus(ctx, &before, after, client.MergeFromWithOptions(before.DeepCopy(), client.MergeFromWithOptimisticLock{}))
	}
	if err != nil || done == outdated {
		return reconcile.Result{}, err
	}
	if done == written {
		r.tell(after, claimTransition(&before, after, &out))
	}
	return r.giveBack(ctx, key, out, done, func(ctx context.Context) ([]string, error) {
		var live v1beta1.IPClaim
		err := r.Live.Get(ctx, name, &live)
		return live.Status.Addresses, client.IgnoreNotFound(err)
	})
}

// maxUsers is how many Services the status of an IPClaim names.
const maxUsers = 32

func renderClaim(c *v1beta1.IPClaim, out *outcome, now time.Time) {
	s := &c.Status
	s.Addresses, s.Pools, s.Services = texts(out.Addresses), out.pools(), nil
	for _, k := range out.users[:min(len(out.users), maxUsers)] {
		s.Services = append(s.Services, k.Name)
	}
	status := metav1.ConditionFalse
	if out.Reason == ipam.Assigned {
		status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type: v1beta1.ConditionBound, Status: status, Reason: string(out.Reason), Message: message(out.Decision, out.pools()),
		ObservedGeneration: c.Generation, LastTransitionTime: metav1.NewTime(now),
	})
}

// claimTransition returns the events of a status write, from the IPClaim before and after.
func claimTransition(before, after *v1beta1.IPClaim, out *outcome) []event {
	said := func(c *v1beta1.IPClaim) [2]string { return conditionText(c.Status.Conditions, v1beta1.ConditionBound) }
	had, has := kube.ClaimOf(before).Shown, kube.ClaimOf(after).Shown
	return changes(had, has, &out.Decision, out.pools(), said(before) == said(after))
}

// writeStatus patches a status. What was read must be the latest.
func (r *Reconciler) writeStatus(ctx context.Context, before, after client.Object, patch client.Patch) (result, error) {
	ctx, done := r.Tenure.Context(ctx)
	defer done()
	if ctx.Err() != nil {
		return outdated, context.Cause(ctx)
	}
	err := r.Client.Status().Patch(ctx, after, patch)
	r.complain(before, err)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return outdated, nil
	case err != nil:
		return outdated, fmt.Errorf("patch status: %w", err)
	default:
		return written, nil
	}
}

// complain tells by an event, once, that the API server refuses a status, as an admission
// policy may have it do: the status itself cannot say so.
func (r *Reconciler) complain(o client.Object, err error) {
	if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
		r.refused.Delete(o.GetUID())
		return
	}
	if said, ok := r.refused.Swap(o.GetUID(), err.Error()); !ok || said != err.Error() {
		r.Recorder.Eventf(o, nil, corev1.EventTypeWarning, "StatusRefused", "Assign", "%s", err.Error())
	}
}

func (r *Reconciler) tell(o client.Object, es []event) {
	for _, e := range es {
		r.Recorder.Eventf(o, nil, e.kind, e.reason, "Assign", "%s", e.message)
	}
}

// labelsOf returns the labels of a namespace.
func (r *Reconciler) labelsOf(ctx context.Context, namespace string) (map[string]string, error) {
	ns := kube.Namespace(namespace)
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(ns), ns); err != nil {
		return nil, fmt.Errorf("get Namespace: %w", err)
	}
	return ns.Labels, nil
}

func missing(shown []string, kept []string) bool {
	return slices.ContainsFunc(shown, func(s string) bool { return !slices.Contains(kept, s) })
}
