// Package rebalance has all nodes announce about as many addresses again, some time after one came or came back.
//
// It chooses the moves when nodes and speakers have been the same for a while, and writes them one by one into the records of the
// Services, as `kubectl fairlead rebalance` does; the speakers follow. It waits while a speaker does not keep connections: moves
// are to cost nothing. What it does not know are endpoints: addresses of policy Local are counted, and stay.
package rebalance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/controller/place"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// pace is the time between two moves.
const pace = time.Second

// A Reconciler moves addresses.
type Reconciler struct {
	Client client.Client
	Class  kube.Class
	// After is how long nodes and speakers must have been the same before anything is moved.
	After time.Duration

	course course
}

// SetupWithManager has the manager run the Reconciler while this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	one := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{}}
	})
	return builder.ControllerManagedBy(mgr).Named("rebalance").
		Watches(&corev1.Node{}, one, builder.WithPredicates(place.NodeChanged)).
		Watches(&v1beta1.SpeakerStatus{}, one, builder.WithPredicates(place.SpeakerChanged)).
		Complete(r)
}

// Reconcile makes the next move, if it is time.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var nodes corev1.NodeList
	var speakers v1beta1.SpeakerStatusList
	if err := errors.Join(r.Client.List(ctx, &nodes), r.Client.List(ctx, &speakers)); err != nil {
		return reconcile.Result{}, fmt.Errorf("list nodes and speakers: %w", err)
	}
	if !place.KeepsConnections(speakers.Items) {
		r.course = course{}
		log.FromContext(ctx).Info("addresses are not rebalanced: not all speakers keep connections")
		return reconcile.Result{}, nil
	}
	now := time.Now()
	wait := r.course.wait(now, place.Nodes(nodes.Items, speakers.Items), r.After)
	if wait == 0 && !r.course.chosen {
		moves, err := r.choose(ctx)
		if err != nil {
			return reconcile.Result{}, err
		}
		r.course.moves, r.course.chosen = moves, true
	}
	if wait > 0 || len(r.course.moves) == 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	if err := r.move(ctx, r.course.moves[0]); err != nil {
		return reconcile.Result{}, err
	}
	r.course.moves, r.course.moved = r.course.moves[1:], now
	return reconcile.Result{RequeueAfter: pace}, nil
}

// A course is how far a Reconciler has come.
type course struct {
	nodes  []announce.Node
	since  time.Time // that nodes are the same
	chosen bool
	moves  []announce.Move // to be made
	moved  time.Time
}

// wait returns how long not to move anything yet. Everything begins again when the nodes are others than before.
func (c *course) wait(now time.Time, nodes []announce.Node, after time.Duration) time.Duration {
	if c.since.IsZero() || !reflect.DeepEqual(nodes, c.nodes) {
		*c = course{nodes: nodes, since: now, moved: c.moved}
	}
	return max(0, c.since.Add(after).Sub(now), c.moved.Add(pace).Sub(now))
}

// choose chooses the moves.
func (r *Reconciler) choose(ctx context.Context) ([]announce.Move, error) {
	snapshot, err := place.Snapshot(ctx, r.Client)
	if err != nil {
		return nil, err
	}
	var services corev1.ServiceList
	if err := r.Client.List(ctx, &services); err != nil {
		return nil, fmt.Errorf("list Services: %w", err)
	}
	sharers, fixed := shared(services.Items, r.Class)
	return announce.NewBalance(snapshot, r.course.nodes, sharers, fixed).Moves(math.MaxInt), nil
}

// shared returns the Services that have each address, sorted, and the addresses that stay where they are: those of policy Local.
func shared(services []corev1.Service, class kube.Class) (sharers map[netip.Addr][]*announce.Service, fixed map[netip.Addr]bool) {
	sharers, fixed = map[netip.Addr][]*announce.Service{}, map[netip.Addr]bool{}
	for i := range services {
		if !class.Serves(&services[i]) {
			continue
		}
		s := kube.ServiceOf(&services[i])
		x := place.Service(&s, []string{""})
		x.Local = false // where its endpoints are is not known here
		for _, a := range s.Shown {
			sharers[a] = append(sharers[a], x)
			fixed[a] = fixed[a] || s.Local
		}
	}
	for _, all := range sharers {
		slices.SortFunc(all, func(a, b *announce.Service) int { return a.Compare(b.Key) })
	}
	return sharers, fixed
}

func (r *Reconciler) move(ctx context.Context, m announce.Move) error {
	var svc corev1.Service
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: m.Service.Namespace, Name: m.Service.Name}, &svc); err != nil {
		return client.IgnoreNotFound(err)
	}
	before := svc.DeepCopy()
	if !place.Move(&svc, m) {
		return nil
	}
	if err := r.Client.Status().Patch(ctx, &svc, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return client.IgnoreNotFound(err)
	}
	log.FromContext(ctx).Info("address moved to even out the nodes", "service", m.Service.String(), "address", m.Address, "from", m.From, "to", m.To)
	return nil
}
