// Package conditions tells operators whether their objects are accepted: it
// builds the configuration whenever an object changes and writes what config
// says of each into its condition Accepted; of a pool whether it is Overlapping and
// Advertised, and of an advertisement what it is Matching, too. An object is written
// only when a condition changes. Applying the configuration is left to others.
package conditions

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	"github.com/fairlead-lb/fairlead/internal/metrics"
)

// A Reconciler writes the conditions Accepted, Overlapping, Advertised and Matching.
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
	nodes, reserved, err := r.reserved(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	all := config.Objects{Reserved: reserved}
	objects := make([][]client.Object, len(kinds))
	for i := range kinds {
		if objects[i], err = kinds[i].read(ctx, r.Client, &all); err != nil {
			return reconcile.Result{}, err
		}
	}

	snapshot, problems := config.Build(all)
	c := &cluster{snapshot: snapshot, nodes: nodes}
	byObject := map[config.Ref][]config.Problem{}
	for _, p := range problems {
		byObject[p.Ref] = append(byObject[p.Ref], p)
	}

	again := reconcile.Result{}
	var errs []error
	for i := range kinds {
		k := &kinds[i]
		for _, o := range objects[i] {
			switch err := r.write(ctx, k, o, c, byObject[config.Ref{Kind: k.name, Name: o.GetName()}]); {
			case apierrors.IsConflict(err):
				again.RequeueAfter = catchUp
			case err != nil:
				errs = append(errs, err)
			}
		}
	}
	return again, errors.Join(errs...)
}

// Count counts all objects of each kind by the reason of their condition Accepted.
func Count(ctx context.Context, c client.Reader) (map[metrics.ObjectState]int, error) {
	out := map[metrics.ObjectState]int{}
	for i := range kinds {
		k := &kinds[i]
		objects, err := k.read(ctx, c, &config.Objects{})
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			state := metrics.ObjectState{Kind: string(k.name), Reason: metrics.None}
			if c := meta.FindStatusCondition(*k.conditions(o), v1beta1.ConditionAccepted); c != nil {
				state.Reason = c.Reason
			}
			out[state]++
		}
	}
	return out, nil
}

// catchUp is how long a newer version of an object may be on its way here.
const catchUp = 50 * time.Millisecond

// write tells an object of its problems, and notes the spec of one that has no faults: it stays active should the next one have some.
func (r *Reconciler) write(ctx context.Context, k *kind, o client.Object, in *cluster, problems []config.Problem) error {
	after, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return nil
	}
	changed := false
	var told []metav1.Condition
	for _, c := range in.judge(o, problems) {
		before := meta.FindStatusCondition(*k.conditions(o), c.Type)
		if !meta.SetStatusCondition(k.conditions(after), c) {
			continue
		}
		changed = true
		if newsworthy(before, &c) {
			told = append(told, c)
		}
	}
	faultless := !slices.ContainsFunc(problems, func(p config.Problem) bool { return !p.Reason.Warns() })
	if faultless && k.accept(after, in.snapshot) {
		changed = true
	}
	if !changed {
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
