package conditions

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// gather is how long changes are gathered before they are judged: a BGPPeer may come a moment before the BFDProfile that it names, from
// the same file.
const gather = 100 * time.Millisecond

// SetupWithManager has the manager run the Reconciler while this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	one := kube.Soon(gather)
	b := builder.ControllerManagedBy(mgr).Named("conditions")
	for i := range kinds {
		k := &kinds[i]
		b = b.Watches(k.object, one, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{},
			predicate.NewPredicateFuncs(func(o client.Object) bool { return !k.complete(o) }))))
	}
	return b.
		Watches(&corev1.Node{}, one, builder.WithPredicates(predicate.Or(predicate.LabelChangedPredicate{}, renumbered()))).
		WatchesRawSource(source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			if r.networked = r.hasServiceCIDRs(ctx); !r.networked {
				return nil
			}
			return source.Kind[client.Object](mgr.GetCache(), &networkingv1.ServiceCIDR{}, one).Start(ctx, q)
		})).
		Complete(r)
}

// renumbered lets Nodes through that came, went, or have other addresses or pod networks.
func renumbered() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Node)
		after, also := e.ObjectNew.(*corev1.Node)
		return !ok || !also || !kube.SameNetworks(before, after)
	}}
}

// hasServiceCIDRs asks the API server, until it answers, whether there are ServiceCIDRs to
// watch: Kubernetes has them since 1.33, and to watch what is not there would never begin.
func (r *Reconciler) hasServiceCIDRs(ctx context.Context) (has bool) {
	_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		err := r.Live.List(ctx, &networkingv1.ServiceCIDRList{}, client.Limit(1))
		switch {
		case err == nil:
			has = true
		case apierrors.IsNotFound(err):
		case apierrors.IsForbidden(err):
			log.FromContext(ctx).Error(err, "pools are not compared with the networks of Services")
		default:
			return false, nil
		}
		return true, nil
	})
	return has
}

// reserved reads the nodes, and which addresses nodes, pods and cluster IPs have.
func (r *Reconciler) reserved(ctx context.Context) ([]corev1.Node, []config.Reserved, error) {
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil { // nothing is written to
		return nil, nil, fmt.Errorf("list Nodes: %w", err)
	}
	var cidrs networkingv1.ServiceCIDRList
	if r.networked {
		if err := r.Client.List(ctx, &cidrs); err != nil {
			return nil, nil, fmt.Errorf("list ServiceCIDRs: %w", err)
		}
	}
	return nodes.Items, Reserved(nodes.Items, cidrs.Items), nil
}

// Reserved returns which addresses nodes, pods and cluster IPs have.
func Reserved(nodes []corev1.Node, cidrs []networkingv1.ServiceCIDR) []config.Reserved {
	var out []config.Reserved
	networks := func(why config.Reason, of string, ps []netip.Prefix) {
		for _, p := range ps {
			out = append(out, config.Reserved{For: why, Of: of, IPRange: netipx.RangeOfPrefix(p)})
		}
	}
	for i := range nodes {
		n := &nodes[i]
		for _, a := range kube.AddressesOf(n) {
			out = append(out, config.Reserved{For: config.NodeAddress, Of: n.Name, IPRange: netipx.IPRangeFrom(a, a)})
		}
		networks(config.PodNetwork, n.Name, kube.PodNetworksOf(n))
	}
	for i := range cidrs {
		c := &cidrs[i]
		networks(config.ServiceNetwork, "ServiceCIDR "+c.Name, kube.ServiceNetworksOf(c))
	}
	return out
}
