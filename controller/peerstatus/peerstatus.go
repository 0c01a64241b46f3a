// Package peerstatus writes into each BGPPeer how many nodes have an established session with the router, of how many there should
// be. It reads what each speaker reports in its BGPStatus, which nobody else watches; changes that come in quick succession, as
// when a router restarts, are written together.
package peerstatus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/controller/outage"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// gather is how long changes are gathered before they are written.
const gather = time.Second

// A Reconciler keeps what BGPPeers say of their sessions true.
type Reconciler struct{ Client client.Client }

// SetupWithManager has the manager run the Reconciler while this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).Named("peerstatus").
		Watches(&v1beta1.BGPPeer{}, kube.Soon(gather)).
		Watches(&v1beta1.BGPStatus{}, kube.Soon(gather)).
		Watches(&v1beta1.SpeakerStatus{}, kube.Soon(gather), builder.WithPredicates(outage.Reported)).
		Watches(&corev1.Node{}, kube.Soon(gather), builder.WithPredicates(predicate.Or(predicate.LabelChangedPredicate{}, predicate.Funcs{UpdateFunc: turned}))).
		Complete(r)
}

// turned reports whether a node has become ready, or is not any more.
func turned(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*corev1.Node)
	after, too := e.ObjectNew.(*corev1.Node)
	return ok && too && kube.NodeOf(before).Ready != kube.NodeOf(after).Ready
}

// Reconcile counts the sessions of all peers.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var peers v1beta1.BGPPeerList
	var reports v1beta1.BGPStatusList
	var speakers v1beta1.SpeakerStatusList
	var nodes corev1.NodeList
	if err := errors.Join(r.Client.List(ctx, &peers), r.Client.List(ctx, &reports), r.Client.List(ctx, &speakers), r.Client.List(ctx, &nodes)); err != nil {
		return reconcile.Result{}, fmt.Errorf("list: %w", err)
	}
	snapshot, _ := config.Build(config.Objects{BGPPeers: peers.Items})
	lost := outage.LostNodes(speakers.Items)
	var errs []error
	for i := range peers.Items {
		before := &peers.Items[i]
		after := before.DeepCopy()
		Summarize(after, snapshot.Peer(before.Name), nodes.Items, lost, reports.Items)
		if equality.Semantic.DeepEqual(before.Status, after.Status) {
			continue
		}
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}) // others write conditions too
		switch err := r.Client.Status().Patch(ctx, after, patch); {
		case apierrors.IsConflict(err):
			return reconcile.Result{RequeueAfter: gather}, nil
		case client.IgnoreNotFound(err) != nil:
			errs = append(errs, fmt.Errorf("patch status of BGPPeer %s: %w", before.Name, err))
		}
	}
	return reconcile.Result{}, errors.Join(errs...)
}

// Reasons of the condition Established.
const (
	allEstablished = "Established"
	notEstablished = "NotEstablished"
	noNodes        = "NoNodes"
)

// named is how many nodes without a session are named.
const named = 3

// Summarize puts into a BGPPeer what is known of its sessions. One that is not active is nil in p. Of a node that is lost, as most
// speakers report, or not ready, as Kubernetes says later, what its speaker reported last does not count.
func Summarize(to *v1beta1.BGPPeer, p *config.Peer, nodes []corev1.Node, lost []string, reports []v1beta1.BGPStatus) {
	sessions := map[string]*v1beta1.BGPSession{}
	for i := range reports {
		for j := range reports[i].Status.Sessions {
			if s := &reports[i].Status.Sessions[j]; s.Peer == to.Name {
				sessions[reports[i].Name] = s
			}
		}
	}
	var configured, established int32
	var without []string
	for i := range nodes {
		n := &nodes[i]
		if p == nil || !p.SelectsNode(n.Labels) {
			continue
		}
		configured++
		switch s := sessions[n.Name]; {
		case slices.Contains(lost, n.Name):
			without = append(without, n.Name+": the node is lost")
		case !kube.NodeOf(n).Ready:
			without = append(without, n.Name+": the node is not ready")
		case s == nil:
			without = append(without, n.Name+": nothing is reported")
		case s.State == "Established":
			established++
		case s.LastError != "":
			without = append(without, n.Name+": "+s.LastError)
		default:
			without = append(without, n.Name+": "+s.State)
		}
	}
	to.Status.Configured, to.Status.Established = configured, established
	to.Status.Sessions = fmt.Sprintf("%d/%d established", established, configured)
	c := metav1.Condition{
		Type: v1beta1.ConditionEstablished, Status: metav1.ConditionTrue, Reason: allEstablished, Message: to.Status.Sessions, ObservedGeneration: to.Generation,
	}
	switch {
	case configured == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, noNodes, "no node is to have a session"
	case established < configured:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, notEstablished, fmt.Sprintf("%s; %s", to.Status.Sessions, list(without))
	}
	meta.SetStatusCondition(&to.Status.Conditions, c)
}

func list(all []string) string {
	slices.Sort(all)
	text := strings.Join(all[:min(len(all), named)], "; ")
	if more := len(all) - named; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
