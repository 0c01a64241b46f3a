package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
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
	// finished is the label's value of no node: MetalLB's speakers are to run there only.
	finished = "finished"
	// beforeAnnotation is of what was changed of MetalLB: how that was before, as JSON.
	beforeAnnotation = "fairlead.io/before"
	// onlyWebhook is the flag by which MetalLB's controller assigns nothing, and still checks MetalLB's objects: they could not be changed
	// without.
	onlyWebhook = "--webhook-mode=onlywebhook"
)

// metalL2Advertisement is the kind by which MetalLB announces by layer 2.
var metalL2Advertisement = schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "L2Advertisement"}

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
		step{"Fairlead withdraws its routes", func(ctx context.Context) error { return c.remove(ctx, "BGPPeer", "BGPAdvertisement") }},
		step{"MetalLB runs again", c.restart},
		step{"MetalLB announces by layer 2 again", c.speak},
		step{"Fairlead ends announcing by layer 2, and forgets the pools; Services keep their addresses", func(ctx context.Context) error {
			return c.remove(ctx, "L2Advertisement", "IPAddressPool", "BFDProfile", "Community")
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

// workloads returns MetalLB's controller and speaker.
func (c *cutover) workloads(ctx context.Context) (*appsv1.Deployment, *appsv1.DaemonSet, error) {
	var deployments appsv1.DeploymentList
	var sets appsv1.DaemonSetList
	in := client.InNamespace(c.namespace)
	if err := errors.Join(c.client.List(ctx, &deployments, in), c.client.List(ctx, &sets, in)); err != nil {
		return nil, nil, fmt.Errorf("read the workloads of MetalLB: %w", err)
	}
	i := slices.IndexFunc(deployments.Items, func(d appsv1.Deployment) bool { return componentOf(&d) == "controller" })
	j := slices.IndexFunc(sets.Items, func(d appsv1.DaemonSet) bool { return componentOf(&d) == "speaker" })
	if i < 0 || j < 0 {
		return nil, nil, fmt.Errorf("namespace %s has no Deployment and DaemonSet with the label component or app.kubernetes.io/component of MetalLB", c.namespace)
	}
	return &deployments.Items[i], &sets.Items[j], nil
}

// componentOf is how MetalLB's manifests and its chart say what a workload is.
func componentOf(o client.Object) string {
	if l := o.GetLabels()["component"]; l != "" {
		return l
	}
	return o.GetLabels()["app.kubernetes.io/component"]
}

// managers say what would start MetalLB again, by what it writes on objects.
func managers(o client.Object) []string {
	var out []string
	for _, r := range o.GetOwnerReferences() {
		out = append(out, r.Kind+" "+r.Name)
	}
	for key, what := range map[string]string{
		"argocd.argoproj.io/tracking-id": "Argo CD", "argocd.argoproj.io/instance": "Argo CD",
		"kustomize.toolkit.fluxcd.io/name": "Flux", "helm.toolkit.fluxcd.io/name": "Flux",
	} {
		if o.GetLabels()[key]+o.GetAnnotations()[key] != "" && !slices.Contains(out, what) {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	return out
}

// ready returns an error where something is in the way.
func (c *cutover) ready(ctx context.Context, paused bool) error {
	controller, speaker, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	if by := slices.Compact(slices.Sorted(slices.Values(append(managers(controller), managers(speaker)...)))); len(by) > 0 && !paused {
		return fmt.Errorf("%s watches over MetalLB and would start it again: pause it, and give --paused", strings.Join(by, ", "))
	}
	return nil
}

// controllerBefore is what stopController changes of a Deployment.
type controllerBefore struct {
	Replicas *int32   `json:"replicas"`
	Args     []string `json:"args"`
}

func (c *cutover) stopController(ctx context.Context) error {
	d, _, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	was := d.DeepCopy()
	args := &d.Spec.Template.Spec.Containers[0].Args
	if !slices.Contains(*args, onlyWebhook) && (d.Spec.Replicas == nil || *d.Spec.Replicas > 0) {
		before, err := json.Marshal(controllerBefore{d.Spec.Replicas, *args})
		if err != nil {
			return err
		}
		kube.Annotate(d, beforeAnnotation, string(before))
		if slices.Contains(*args, "--webhook-mode=disabled") {
			d.Spec.Replicas = new(int32)
		} else {
			*args = append(slices.Clone(*args), onlyWebhook)
		}
		if err := c.client.Patch(ctx, d, client.MergeFrom(was)); err != nil {
			return fmt.Errorf("stop MetalLB's controller: %w", err)
		}
	}
	return c.until(ctx, "MetalLB's controller has done so", func(ctx context.Context) (bool, error) {
		if err := c.client.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
			return false, err
		}
		s, replicas := d.Status, int32(1)
		if d.Spec.Replicas != nil {
			replicas = *d.Spec.Replicas
		}
		return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == replicas && s.Replicas == replicas && s.AvailableReplicas == replicas, nil
	})
}

// l2Advertisements changes MetalLB's.
func (c *cutover) l2Advertisements(ctx context.Context, edit func(*unstructured.Unstructured) error) error {
	var all unstructured.UnstructuredList
	all.SetGroupVersionKind(metalL2Advertisement)
	if err := c.client.List(ctx, &all, client.InNamespace(c.namespace)); err != nil {
		return fmt.Errorf("read MetalLB's L2Advertisements: %w", err)
	}
	for i := range all.Items {
		o := &all.Items[i]
		was := o.DeepCopy()
		if err := edit(o); err != nil {
			return fmt.Errorf("MetalLB's L2Advertisement %s: %w", o.GetName(), err)
		}
		if err := c.client.Patch(ctx, o, client.MergeFrom(was)); err != nil {
			return fmt.Errorf("change MetalLB's L2Advertisement %s: %w", o.GetName(), err)
		}
	}
	return nil
}

// silence has MetalLB's L2Advertisements select no node. If its speakers ended one by one, those that are left would take over from them.
func (c *cutover) silence(ctx context.Context) error {
	return c.l2Advertisements(ctx, func(o *unstructured.Unstructured) error {
		if _, noted := o.GetAnnotations()[beforeAnnotation]; noted {
			return nil
		}
		selectors, _, err := unstructured.NestedSlice(o.Object, "spec", "nodeSelectors")
		if err != nil {
			return err
		}
		before, err := json.Marshal(selectors)
		if err != nil {
			return err
		}
		kube.Annotate(o, beforeAnnotation, string(before))
		nobody := []any{map[string]any{"matchLabels": map[string]any{migratedLabel: finished}}}
		return unstructured.SetNestedSlice(o.Object, nobody, "spec", "nodeSelectors")
	})
}

// speak is the opposite of silence.
func (c *cutover) speak(ctx context.Context) error {
	return c.l2Advertisements(ctx, func(o *unstructured.Unstructured) error {
		before, noted := o.GetAnnotations()[beforeAnnotation]
		if !noted {
			return nil
		}
		var selectors []any
		if err := json.Unmarshal([]byte(before), &selectors); err != nil {
			return fmt.Errorf("annotation %s: %w", beforeAnnotation, err)
		}
		annotations := o.GetAnnotations()
		delete(annotations, beforeAnnotation)
		o.SetAnnotations(annotations)
		if len(selectors) == 0 {
			unstructured.RemoveNestedField(o.Object, "spec", "nodeSelectors")
			return nil
		}
		return unstructured.SetNestedSlice(o.Object, selectors, "spec", "nodeSelectors")
	})
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

// apply creates or updates converted objects of some kinds.
func (c *cutover) apply(ctx context.Context, kinds []string, edit func(client.Object)) (n int, err error) {
	for _, o := range c.conversion.Objects {
		object, ok := o.DeepCopyObject().(client.Object)
		if !ok || !slices.Contains(kinds, kindOf(o)) {
			continue
		}
		if edit != nil {
			edit(object)
		}
		if err := c.put(ctx, object); err != nil {
			return n, fmt.Errorf("apply %s %s: %w", strings.ToLower(kindOf(o)), object.GetName(), err)
		}
		n++
	}
	return n, nil
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
	if _, err := c.apply(ctx, []string{"Community", "BFDProfile", "IPAddressPool"}, nil); err != nil {
		return err
	}
	pools := c.pools()
	return c.services(ctx, "all Services are adopted", func(svc *corev1.Service) bool {
		shown, _ := kube.Shown(svc)
		return kube.Marked(svc) || !slices.ContainsFunc(shown, func(a netip.Addr) bool { return pools.PoolOf(a) != nil })
	})
}

// pools returns the converted pools. What belongs to none of them is somebody else's.
func (c *cutover) pools() *config.Snapshot {
	var all []v1beta1.IPAddressPool
	for _, o := range c.conversion.Objects {
		if p, ok := o.(*v1beta1.IPAddressPool); ok {
			all = append(all, *p)
		}
	}
	s, _ := config.Build(config.Objects{Pools: all}) // what is wrong with them has stopped it before
	return s
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
	n, err := c.apply(ctx, []string{"L2Advertisement"}, nil)
	if err != nil || n == 0 {
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
		strategy, err := json.Marshal(speaker.Spec.UpdateStrategy)
		if err != nil {
			return err
		}
		kube.Annotate(speaker, beforeAnnotation, string(strategy))
		speaker.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType} // the others are not restarted
		if err := c.client.Patch(ctx, speaker, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("have MetalLB's speakers leave nodes by a label: %w", err)
		}
	}
	peers, err := c.apply(ctx, []string{"BGPPeer"}, onlyDone)
	if err != nil {
		return err
	}
	if _, err := c.apply(ctx, []string{"BGPAdvertisement"}, nil); err != nil {
		return err
	}
	var all corev1.NodeList
	if err := c.client.List(ctx, &all); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for i := range all.Items {
		if err := c.node(ctx, speaker, &all.Items[i], peers > 0); err != nil {
			return fmt.Errorf("node %s: %w; the others are as they were", all.Items[i].Name, err)
		}
		c.say("    %s\n", all.Items[i].Name)
	}
	return nil
}

// keepAway has pods run on no node that is migrated; false if that is so already.
func keepAway(pod *corev1.PodSpec) bool {
	not := corev1.NodeSelectorRequirement{Key: migratedLabel, Operator: corev1.NodeSelectorOpDoesNotExist}
	if pod.Affinity == nil {
		pod.Affinity = &corev1.Affinity{}
	}
	if pod.Affinity.NodeAffinity == nil {
		pod.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	required := &pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if *required == nil {
		*required = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
	}
	changed := false
	for i := range (*required).NodeSelectorTerms {
		t := &(*required).NodeSelectorTerms[i]
		if !slices.ContainsFunc(t.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool { return r.Key == migratedLabel }) {
			t.MatchExpressions, changed = append(t.MatchExpressions, not), true
		}
	}
	return changed
}

// comeBack is the opposite of keepAway.
func comeBack(pod *corev1.PodSpec) {
	delete(pod.NodeSelector, migratedLabel)
	if pod.Affinity == nil || pod.Affinity.NodeAffinity == nil || pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return
	}
	required := pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	for i := range required.NodeSelectorTerms {
		t := &required.NodeSelectorTerms[i]
		t.MatchExpressions = slices.DeleteFunc(t.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool { return r.Key == migratedLabel })
	}
	if len(required.NodeSelectorTerms) == 1 && len(required.NodeSelectorTerms[0].MatchExpressions)+len(required.NodeSelectorTerms[0].MatchFields) == 0 {
		pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = nil // a term without requirements selects nothing
	}
}

// onlyDone has a BGPPeer select those of its nodes that are done.
func onlyDone(o client.Object) {
	p, ok := o.(*v1beta1.BGPPeer)
	if !ok {
		return
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

func (c *cutover) node(ctx context.Context, speaker *appsv1.DaemonSet, n *corev1.Node, bgp bool) error {
	if n.Labels[migratedLabel] == done {
		return nil
	}
	if err := c.label(ctx, n, leaving); err != nil {
		return err
	}
	err := c.until(ctx, "MetalLB's speaker has ended", func(ctx context.Context) (bool, error) {
		var all corev1.PodList
		err := c.client.List(ctx, &all, client.InNamespace(c.namespace), client.MatchingLabels(speaker.Spec.Selector.MatchLabels))
		return !slices.ContainsFunc(all.Items, func(p corev1.Pod) bool { return p.Spec.NodeName == n.Name }), err
	})
	if err != nil {
		return err
	}
	if err := c.label(ctx, n, done); err != nil || !bgp {
		return err
	}
	return c.established(ctx, n.Name)
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
func (c *cutover) established(ctx context.Context, node string) error {
	var lacks string
	err := c.until(ctx, "its BGP sessions are established", func(ctx context.Context) (bool, error) {
		var s v1beta1.BGPStatus
		var n corev1.Node
		if err := c.client.Get(ctx, client.ObjectKey{Name: node}, &n); err != nil {
			return false, err
		}
		if err := c.client.Get(ctx, client.ObjectKey{Name: node}, &s); client.IgnoreNotFound(err) != nil {
			return false, err
		}
		lacks = ""
		for _, o := range c.conversion.Objects {
			p, ok := o.DeepCopyObject().(*v1beta1.BGPPeer)
			if !ok || !selects(p.Spec.NodeSelectors, n.Labels) {
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

// selects reports whether one of some selectors matches; none match all.
func selects(all []v1beta1.LabelSelector, of map[string]string) bool {
	return len(all) == 0 || slices.ContainsFunc(all, func(s v1beta1.LabelSelector) bool {
		in := metav1.LabelSelector{MatchLabels: s.MatchLabels}
		for _, e := range s.MatchExpressions {
			in.MatchExpressions = append(in.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: e.Key, Operator: metav1.LabelSelectorOperator(e.Operator), Values: e.Values,
			})
		}
		sel, err := metav1.LabelSelectorAsSelector(&in)
		return err == nil && sel.Matches(labels.Set(of))
	})
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
	if _, err := c.apply(ctx, []string{"BGPPeer"}, nil); err != nil {
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
	var all corev1.NodeList
	if err := c.client.List(ctx, &all, client.HasLabels{migratedLabel}); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for i := range all.Items {
		if err := c.label(ctx, &all.Items[i], ""); err != nil {
			return fmt.Errorf("node %s: %w", all.Items[i].Name, err)
		}
	}
	return nil
}

// restart has MetalLB run as before.
func (c *cutover) restart(ctx context.Context) error {
	d, speaker, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	if err := c.unlabel(ctx); err != nil {
		return err
	}
	before, had := speaker.DeepCopy(), d.DeepCopy()
	comeBack(&speaker.Spec.Template.Spec)
	if text, noted := speaker.Annotations[beforeAnnotation]; noted {
		speaker.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{}
		if err := json.Unmarshal([]byte(text), &speaker.Spec.UpdateStrategy); err != nil {
			return fmt.Errorf("annotation %s of MetalLB's speaker: %w", beforeAnnotation, err)
		}
		kube.Annotate(speaker, beforeAnnotation, "")
	}
	if text, noted := d.Annotations[beforeAnnotation]; noted {
		var b controllerBefore
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return fmt.Errorf("annotation %s of MetalLB's controller: %w", beforeAnnotation, err)
		}
		kube.Annotate(d, beforeAnnotation, "")
		d.Spec.Replicas, d.Spec.Template.Spec.Containers[0].Args = b.Replicas, b.Args
	}
	if err := errors.Join(c.client.Patch(ctx, speaker, client.MergeFrom(before)), c.client.Patch(ctx, d, client.MergeFrom(had))); err != nil {
		return fmt.Errorf("start MetalLB: %w", err)
	}
	return c.until(ctx, "MetalLB's speakers are ready", func(ctx context.Context) (bool, error) {
		if err := c.client.Get(ctx, client.ObjectKeyFromObject(speaker), speaker); err != nil {
			return false, err
		}
		s := speaker.Status
		return s.ObservedGeneration >= speaker.Generation && s.NumberReady > 0 && s.NumberReady == s.DesiredNumberScheduled, nil
	})
}

// remove deletes what was converted, of some kinds in this order.
func (c *cutover) remove(ctx context.Context, kinds ...string) error {
	for _, kind := range kinds {
		for _, o := range c.conversion.Objects {
			object, ok := o.DeepCopyObject().(client.Object)
			if !ok || kindOf(o) != kind {
				continue
			}
			if err := c.client.Delete(ctx, object); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("delete %s %s: %w", strings.ToLower(kind), object.GetName(), err)
			}
		}
	}
	return nil
}
