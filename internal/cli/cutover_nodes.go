package cli

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// A cutover of BGP goes node by node, there and back.

const (
	// migratedLabel is of a node whose addresses are being handed over (leaving) or have been (done). MetalLB's speaker does not run
	// there, and Fairlead's has its sessions where it is done.
	migratedLabel = "fairlead.io/migrated"
	leaving, done = "leaving", "done"
)

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
			return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return kube.PodReady(&p) }), err
		})
		if err != nil {
			return fmt.Errorf("%w; if it is not to run there, go on by the same command", err)
		}
		c.say("    %s\n", n.Name)
		return nil
	}, client.HasLabels{migratedLabel})
}

// speakers returns MetalLB's on a node.
func (c *cutover) speakers(ctx context.Context, speaker *appsv1.DaemonSet, n *corev1.Node) ([]corev1.Pod, error) {
	var all corev1.PodList
	err := c.client.List(ctx, &all, client.InNamespace(c.namespace), client.MatchingLabels(speaker.Spec.Selector.MatchLabels))
	return slices.DeleteFunc(all.Items, func(p corev1.Pod) bool { return p.Spec.NodeName != n.Name }), err
}
