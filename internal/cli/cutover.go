package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

const (
	// migratedLabel is of a node whose addresses are being handed over (leaving) or have been (done). MetalLB's speaker does not run
	// there, and Fairlead's has its sessions where it is done.
	migratedLabel = "fairlead.io/migrated"
	leaving, done = "leaving", "done"
)

// metalL2Status is where MetalLB says which node announces a Service by layer 2.
var metalL2Status = schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "ServiceL2Status"}

// A cutover takes over from MetalLB, step by step. Each step finds what it has done already, so that a cutover that was interrupted
// goes on when it is run again.
type cutover struct {
	client client.Client
	// namespace is MetalLB's.
	namespace  string
	conversion Conversion
	class      kube.Class
	say        func(format string, args ...any)
}

type step struct {
	what string
	do   func(context.Context) error
}

func (c *cutover) run(ctx context.Context) error {
	return c.steps(ctx,
		step{"MetalLB's controller assigns no more: nobody does but Fairlead", c.stopController},
		step{"what MetalLB's speakers announce by layer 2 is noted, so that the same nodes go on with it", c.noteAnnouncers},
		step{"Fairlead gets the pools, and adopts the addresses that Services show", c.adopt},
		step{"Fairlead announces by layer 2 beside MetalLB, from the same nodes with the same MAC addresses", c.announce},
		step{"MetalLB ends announcing by layer 2, on all nodes at once", c.silence},
		step{"node by node, MetalLB's speaker ends and Fairlead's sessions begin", c.nodes},
		step{"MetalLB is stopped, and stays installed", c.finish},
	)
}

// back hands over to MetalLB again. Fairlead stays installed, and has no configuration.
func (c *cutover) back(ctx context.Context) error {
	return c.steps(ctx,
		step{"node by node, Fairlead's sessions end and MetalLB's speaker begins", c.nodesBack},
		step{"MetalLB runs as it did before, and restarts node by node for it", c.restart},
		step{"MetalLB announces by layer 2 again", c.speak},
		step{"Fairlead ends announcing by layer 2, and forgets the pools; Services keep their addresses", func(ctx context.Context) error {
			return c.remove(ctx, "BGPPeer", "BGPAdvertisement", "L2Advertisement", "IPAddressPool", "BFDProfile", "Community")
		}},
	)
}

func (c *cutover) steps(ctx context.Context, all ...step) error {
	for i, s := range all {
		c.say("%d/%d %s\n", i+1, len(all), s.what)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// until waits for something, and says what it has waited for.
func (c *cutover) until(ctx context.Context, what string, is wait.ConditionWithContextFunc) error {
	if err := wait.PollUntilContextTimeout(ctx, time.Second/5, stopping, true, is); err != nil {
		return fmt.Errorf("wait until %s: %w", what, err)
	}
	return nil
}

// announcers returns which node announces each Service by layer 2, as MetalLB says.
func (c *cutover) announcers(ctx context.Context) (map[client.ObjectKey]string, error) {
	var all unstructured.UnstructuredList
	all.SetGroupVersionKind(metalL2Status)
	switch err := c.client.List(ctx, &all, client.InNamespace(c.namespace)); {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
		c.say("    this version of MetalLB has no ServiceL2Status: another node may go on with an address\n")
		return map[client.ObjectKey]string{}, nil
	case err != nil:
		return nil, fmt.Errorf("read which nodes announce: %w", err)
	}
	out := map[client.ObjectKey]string{}
	for i := range all.Items {
		field := func(name string) string {
			v, _, _ := unstructured.NestedString(all.Items[i].Object, "status", name)
			return v
		}
		out[client.ObjectKey{Namespace: field("serviceNamespace"), Name: field("serviceName")}] = field("node")
	}
	return out, nil
}

// noteAnnouncers writes into the Services which node announces them, which Fairlead follows.
func (c *cutover) noteAnnouncers(ctx context.Context) error {
	by, err := c.announcers(ctx)
	if err != nil {
		return err
	}
	noted := 0
	for key, node := range by {
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			var svc corev1.Service
			if err := c.client.Get(ctx, key, &svc); err != nil {
				return client.IgnoreNotFound(err)
			}
			shown, _ := kube.Shown(&svc)
			if node == "" || len(shown) == 0 || !c.class.Serves(&svc) || kube.Marked(&svc) {
				return nil // it is Fairlead's already, or will not be
			}
			record := map[netip.Addr][]string{}
			for _, a := range shown {
				record[a] = []string{node}
			}
			before := svc.DeepCopy()
			kube.Annotate(&svc, kube.AnnotationAnnouncers, kube.AnnouncersText(record))
			noted++
			return c.client.Patch(ctx, &svc, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		})
		if err != nil {
			return fmt.Errorf("note which node announces service %s: %w", key, err)
		}
	}
	c.say("    %d Services\n", noted)
	return nil
}

// converted returns copies of the converted objects of some kinds, in the order of these.
func (c *cutover) converted(kinds ...string) (out []client.Object) {
	for _, kind := range kinds {
		for _, o := range c.conversion.Objects {
			if object, ok := o.DeepCopyObject().(client.Object); ok && kindOf(o) == kind {
				out = append(out, object)
			}
		}
	}
	return out
}

// apply creates or updates objects.
func (c *cutover) apply(ctx context.Context, objects []client.Object) error {
	for _, o := range objects {
		if err := c.put(ctx, o); err != nil {
			return fmt.Errorf("apply %s %s: %w", strings.ToLower(kindOf(o)), o.GetName(), err)
		}
	}
	return nil
}

func (c *cutover) put(ctx context.Context, o client.Object) error {
	err := c.client.Create(ctx, o)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		there, _ := o.DeepCopyObject().(client.Object)
		if err := c.client.Get(ctx, client.ObjectKeyFromObject(o), there); err != nil {
			return err
		}
		o.SetResourceVersion(there.GetResourceVersion())
		return c.client.Update(ctx, o)
	})
}

// adopt creates the pools, and waits until the Services that show addresses are Fairlead's.
func (c *cutover) adopt(ctx context.Context) error {
	if err := c.apply(ctx, c.converted("Community", "BFDProfile", "IPAddressPool")); err != nil {
		return err
	}
	snapshot, err := c.snapshot()
	if err != nil {
		return err
	}
	return c.services(ctx, "all Services are adopted", func(svc *corev1.Service) bool {
		shown, _ := kube.Shown(svc)
		return kube.Marked(svc) || !slices.ContainsFunc(shown, func(a netip.Addr) bool { return snapshot.PoolOf(a) != nil })
	})
}

// snapshot is what the converted objects mean together. What belongs to none of the pools is somebody else's.
func (c *cutover) snapshot() (*config.Snapshot, error) {
	var then Cluster
	for _, o := range c.conversion.Objects {
		if err := then.add(o); err != nil {
			return nil, err
		}
	}
	return then.build(), nil
}

// services waits until something is so of all Services that Fairlead serves and that show addresses.
func (c *cutover) services(ctx context.Context, what string, is func(*corev1.Service) bool) error {
	var lacks []string
	err := c.until(ctx, what, func(ctx context.Context) (bool, error) {
		var all corev1.ServiceList
		if err := c.client.List(ctx, &all); err != nil {
			return false, err
		}
		lacks = nil
		for i := range all.Items {
			svc := &all.Items[i]
			if shown, _ := kube.Shown(svc); c.class.Serves(svc) && len(shown) > 0 && !is(svc) {
				lacks = append(lacks, svc.Namespace+"/"+svc.Name)
			}
		}
		return len(lacks) == 0, nil
	})
	if err != nil && len(lacks) > 0 {
		return fmt.Errorf("%w: not yet %s; kubectl fairlead explain service says why", err, strings.Join(lacks[:min(len(lacks), 5)], ", "))
	}
	return err
}

// announce creates the L2Advertisements, and waits until Fairlead announces what MetalLB does.
func (c *cutover) announce(ctx context.Context) error {
	ads := c.converted("L2Advertisement")
	if err := c.apply(ctx, ads); err != nil || len(ads) == 0 {
		return err
	}
	by, err := c.announcers(ctx)
	if err != nil {
		return err
	}
	return c.services(ctx, "Fairlead announces by layer 2", func(svc *corev1.Service) bool {
		return by[client.ObjectKeyFromObject(svc)] == "" || meta.IsStatusConditionTrue(svc.Status.Conditions, v1beta1.ServiceConditionAnnounced)
	})
}

// nodes hands over one node after the other. A session of a router with MetalLB ends before that with Fairlead begins, and all other nodes
// have theirs meanwhile.
func (c *cutover) nodes(ctx context.Context) error {
	_, speaker, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	before := speaker.DeepCopy()
	if keepAway(&speaker.Spec.Template.Spec) {
		if err := remember(speaker, speaker.Spec.UpdateStrategy); err != nil {
			return err
		}
		speaker.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType} // the others are not restarted
		if err := c.client.Patch(ctx, speaker, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("have MetalLB's speakers leave nodes by a label: %w", err)
		}
	}
	if err := c.apply(ctx, append(c.onlyDone(), c.converted("BGPAdvertisement")...)); err != nil {
		return err
	}
	return c.each(ctx, func(n *corev1.Node) error {
		if err := c.node(ctx, speaker, n); err != nil {
			return fmt.Errorf("%w; the others are as they were", err)
		}
		c.say("    %s\n", n.Name)
		return nil
	})
}

// onlyDone returns the BGPPeers, each of which selects those of its nodes that are done.
func (c *cutover) onlyDone() []client.Object {
	all := c.converted("BGPPeer")
	for _, o := range all {
		p, ok := o.(*v1beta1.BGPPeer)
		if !ok {
			continue
		}
		if len(p.Spec.NodeSelectors) == 0 {
			p.Spec.NodeSelectors = []v1beta1.LabelSelector{{}}
		}
		for i := range p.Spec.NodeSelectors {
			s := &p.Spec.NodeSelectors[i]
			if s.MatchLabels == nil {
				s.MatchLabels = map[string]string{}
			}
			s.MatchLabels[migratedLabel] = done
		}
	}
	return all
}

func (c *cutover) node(ctx context.Context, speaker *appsv1.DaemonSet, n *corev1.Node) error {
	if n.Labels[migratedLabel] == done {
		return nil
	}
	if err := c.label(ctx, n, leaving); err != nil {
		return err
	}
	err := c.until(ctx, "MetalLB's speaker has ended", func(ctx context.Context) (bool, error) {
		pods, err := c.speakers(ctx, speaker, n)
		return len(pods) == 0, err
	})
	if err != nil {
		return err
	}
	if err := c.label(ctx, n, done); err != nil {
		return err
	}
	return c.established(ctx, n)
}

func (c *cutover) label(ctx context.Context, n *corev1.Node, value string) error {
	before := n.DeepCopy()
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	if n.Labels[migratedLabel] = value; value == "" {
		delete(n.Labels, migratedLabel)
	}
	if err := c.client.Patch(ctx, n, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("label it: %w", err)
	}
	return nil
}

// established waits until the node's sessions are: those with the BGPPeers that select it.
func (c *cutover) established(ctx context.Context, n *corev1.Node) error {
	snapshot, err := c.snapshot()
	if err != nil {
		return err
	}
	var lacks string
	err = c.until(ctx, "its BGP sessions are established", func(ctx context.Context) (bool, error) {
		var s v1beta1.BGPStatus
		if err := c.client.Get(ctx, client.ObjectKeyFromObject(n), &s); client.IgnoreNotFound(err) != nil {
			return false, err
		}
		lacks = ""
		for _, p := range snapshot.Peers() {
			if !p.SelectsNode(n.Labels) {
				continue
			}
			i := slices.IndexFunc(s.Status.Sessions, func(x v1beta1.BGPSession) bool { return x.Peer == p.Name })
			switch {
			case i < 0:
				lacks = "there is no session with " + p.Name + " yet"
			case s.Status.Sessions[i].State != "Established":
				lacks = fmt.Sprintf("the session with %s is %s", p.Name, s.Status.Sessions[i].State)
			}
		}
		return lacks == "", nil
	})
	if err != nil && lacks != "" {
		return fmt.Errorf("%w: %s; see kubectl fairlead bgp", err, lacks)
	}
	return err
}

// finish keeps MetalLB's speakers from all nodes, and takes the labels away that did so one by one.
func (c *cutover) finish(ctx context.Context) error {
	_, speaker, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	before := speaker.DeepCopy()
	if speaker.Spec.Template.Spec.NodeSelector == nil {
		speaker.Spec.Template.Spec.NodeSelector = map[string]string{}
	}
	speaker.Spec.Template.Spec.NodeSelector[migratedLabel] = finished
	if err := c.client.Patch(ctx, speaker, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("stop MetalLB's speakers: %w", err)
	}
	if err := c.apply(ctx, c.converted("BGPPeer")); err != nil {
		return err
	}
	// The speakers have read that the peers select all nodes before any label goes, and no session is without a peer.
	if err := c.until(ctx, "the peers are accepted", c.accepted); err != nil {
		return err
	}
	return c.unlabel(ctx)
}

func (c *cutover) accepted(ctx context.Context) (bool, error) {
	var all v1beta1.BGPPeerList
	if err := c.client.List(ctx, &all); err != nil {
		return false, err
	}
	return !slices.ContainsFunc(all.Items, func(p v1beta1.BGPPeer) bool {
		a := meta.FindStatusCondition(p.Status.Conditions, v1beta1.ConditionAccepted)
		return a == nil || a.ObservedGeneration < p.Generation
	}), nil
}

func (c *cutover) unlabel(ctx context.Context) error {
	return c.each(ctx, func(n *corev1.Node) error { return c.label(ctx, n, "") }, client.HasLabels{migratedLabel})
}

// each does something to one node after the other.
func (c *cutover) each(ctx context.Context, do func(*corev1.Node) error, of ...client.ListOption) error {
	var all corev1.NodeList
	if err := c.client.List(ctx, &all, of...); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for i := range all.Items {
		if err := do(&all.Items[i]); err != nil {
			return fmt.Errorf("node %s: %w", all.Items[i].Name, err)
		}
	}
	return nil
}

// nodesBack is the opposite of finish and nodes: MetalLB's speaker begins on one node after the other, and all others have their sessions with
// Fairlead or with it meanwhile. Without BGP all begin at once, in the next step.
func (c *cutover) nodesBack(ctx context.Context) error {
	peers := c.onlyDone()
	if len(peers) == 0 {
		return nil
	}
	_, speaker, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	if speaker.Spec.Template.Spec.NodeSelector[migratedLabel] == finished {
		if err := c.each(ctx, func(n *corev1.Node) error { return c.label(ctx, n, done) }); err != nil {
			return err
		}
		if err := c.apply(ctx, peers); err != nil {
			return err
		}
		if err := c.until(ctx, "the peers are accepted", c.accepted); err != nil {
			return err
		}
		before := speaker.DeepCopy()
		delete(speaker.Spec.Template.Spec.NodeSelector, migratedLabel)
		if err := c.client.Patch(ctx, speaker, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("have MetalLB's speakers run where the label is not: %w", err)
		}
	}
	return c.each(ctx, func(n *corev1.Node) error {
		if err := c.label(ctx, n, ""); err != nil {
			return err
		}
		err := c.until(ctx, "MetalLB's speaker is ready", func(ctx context.Context) (bool, error) {
			pods, err := c.speakers(ctx, speaker, n)
			return slices.ContainsFunc(pods, ready), err
		})
		if err != nil {
			return fmt.Errorf("%w; if it is not to run there, go on by the same command", err)
		}
		c.say("    %s\n", n.Name)
		return nil
	}, client.HasLabels{migratedLabel})
}

// ready reports whether a pod is.
func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
}

// speakers returns MetalLB's on a node.
func (c *cutover) speakers(ctx context.Context, speaker *appsv1.DaemonSet, n *corev1.Node) ([]corev1.Pod, error) {
	var all corev1.PodList
	err := c.client.List(ctx, &all, client.InNamespace(c.namespace), client.MatchingLabels(speaker.Spec.Selector.MatchLabels))
	return slices.DeleteFunc(all.Items, func(p corev1.Pod) bool { return p.Spec.NodeName != n.Name }), err
}

// remove deletes what was converted, of some kinds in this order.
func (c *cutover) remove(ctx context.Context, kinds ...string) error {
	for _, o := range c.converted(kinds...) {
		if err := c.client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s %s: %w", strings.ToLower(kindOf(o)), o.GetName(), err)
		}
	}
	return nil
}
