package place

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A Reconciler tells a Placer of the configuration and of the nodes.
type Reconciler struct {
	Client client.Client
	Placer *Placer
}

// SetupWithManager has the manager run the Reconciler while this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	one := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{}}
	})
	spec := builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}))
	return builder.ControllerManagedBy(mgr).Named("place").
		Watches(&v1beta1.IPAddressPool{}, one, spec).
		Watches(&v1beta1.L2Advertisement{}, one, spec).
		Watches(&corev1.Node{}, one, builder.WithPredicates(NodeChanged)).
		Watches(&v1beta1.SpeakerStatus{}, one, builder.WithPredicates(SpeakerChanged)).
		Complete(r)
}

// NodeChanged and SpeakerChanged let updates through that change what Nodes and KeepsConnections return.
var (
	NodeChanged = differs(func(o client.Object) any {
		n, _ := o.(*corev1.Node)
		return kube.NodeOf(n)
	})
	SpeakerChanged = differs(func(o client.Object) any {
		s, _ := o.(*v1beta1.SpeakerStatus)
		return []any{ready(s), keeps(s), announce.LinksOf(s)}
	})
)

// differs lets an update through if what is read of the object is another than before.
func differs(read func(client.Object) any) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !reflect.DeepEqual(read(e.ObjectOld), read(e.ObjectNew))
	}}
}

func ready(s *v1beta1.SpeakerStatus) bool {
	return meta.IsStatusConditionTrue(s.Status.Conditions, v1beta1.ConditionReady)
}

// Reconcile tells the Placer what holds now.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	return reconcile.Result{}, r.Learn(ctx)
}

// Learn tells the Placer what holds now.
func (r *Reconciler) Learn(ctx context.Context) error {
	snapshot, err := Snapshot(ctx, r.Client)
	if err != nil {
		return err
	}
	var nodes corev1.NodeList
	var speakers v1beta1.SpeakerStatusList
	if err := errors.Join(r.Client.List(ctx, &nodes), r.Client.List(ctx, &speakers)); err != nil {
		return fmt.Errorf("list nodes and speakers: %w", err)
	}
	r.Placer.Configure(snapshot, Nodes(nodes.Items, speakers.Items))
	return nil
}

// Snapshot reads the configuration that places depend on: pools, and L2Advertisements.
func Snapshot(ctx context.Context, c client.Reader) (*config.Snapshot, error) {
	var pools v1beta1.IPAddressPoolList
	var ads v1beta1.L2AdvertisementList
	if err := errors.Join(c.List(ctx, &pools), c.List(ctx, &ads)); err != nil {
		return nil, fmt.Errorf("list pools and L2Advertisements: %w", err)
	}
	s, _ := config.Build(config.Objects{Pools: pools.Items, L2Advertisements: ads.Items}) // controller/conditions tells of problems
	return s, nil
}

// Nodes returns the nodes as announce wants to see them, sorted.
func Nodes(nodes []corev1.Node, speakers []v1beta1.SpeakerStatus) []announce.Node {
	var out []announce.Node
	for i := range nodes {
		n := kube.NodeOf(&nodes[i])
		v := announce.Node{
			Name: n.Name, Labels: n.Labels, Ready: n.Ready, NetworkUnavailable: n.NetworkUnavailable, Excluded: n.Excluded,
			Retiring: n.OutOfService || n.Cordoned, // what is new goes elsewhere, whether or not speakers yield for that
		}
		if j := slices.IndexFunc(speakers, func(s v1beta1.SpeakerStatus) bool { return s.Name == n.Name }); j >= 0 {
			v.SpeakerReady, v.Links = ready(&speakers[j]), announce.LinksOf(&speakers[j])
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b announce.Node) int { return strings.Compare(a.Name, b.Name) })
	return out
}
