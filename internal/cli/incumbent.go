package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// What a cutover changes of MetalLB, and how it is as before again.

const (
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
func managers(objects ...client.Object) []string {
	var out []string
	for _, o := range objects {
		for _, r := range o.GetOwnerReferences() {
			out = append(out, r.Kind+" "+r.Name)
		}
		for key, what := range map[string]string{
			"argocd.argoproj.io/tracking-id": "Argo CD", "argocd.argoproj.io/instance": "Argo CD",
			"kustomize.toolkit.fluxcd.io/name": "Flux", "helm.toolkit.fluxcd.io/name": "Flux",
		} {
			if o.GetLabels()[key]+o.GetAnnotations()[key] != "" {
				out = append(out, what)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// remember notes on an object how something of it was, and recall reads that once; false if nothing is noted.
func remember(o client.Object, was any) error {
	text, err := json.Marshal(was)
	if err == nil {
		kube.Annotate(o, beforeAnnotation, string(text))
	}
	return err
}

func recall(o client.Object, was any) (noted bool, err error) {
	text, noted := o.GetAnnotations()[beforeAnnotation]
	if !noted {
		return false, nil
	}
	if err := json.Unmarshal([]byte(text), was); err != nil {
		return false, fmt.Errorf("annotation %s of %s: %w", beforeAnnotation, o.GetName(), err)
	}
	kube.Annotate(o, beforeAnnotation, "")
	return true, nil
}

// ready returns an error where something is in the way.
func (c *cutover) ready(ctx context.Context, paused bool) error {
	controller, speaker, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	if by := managers(controller, speaker); len(by) > 0 && !paused {
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
		if err := remember(d, controllerBefore{d.Spec.Replicas, *args}); err != nil {
			return err
		}
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
		if err := remember(o, selectors); err != nil {
			return err
		}
		nobody := []any{map[string]any{"matchLabels": map[string]any{migratedLabel: finished}}}
		return unstructured.SetNestedSlice(o.Object, nobody, "spec", "nodeSelectors")
	})
}

// speak is the opposite of silence.
func (c *cutover) speak(ctx context.Context) error {
	return c.l2Advertisements(ctx, func(o *unstructured.Unstructured) error {
		var selectors []any
		if noted, err := recall(o, &selectors); err != nil || !noted {
			return err
		}
		if len(selectors) == 0 {
			unstructured.RemoveNestedField(o.Object, "spec", "nodeSelectors")
			return nil
		}
		return unstructured.SetNestedSlice(o.Object, selectors, "spec", "nodeSelectors")
	})
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
	var strategy appsv1.DaemonSetUpdateStrategy
	if noted, err := recall(speaker, &strategy); err != nil {
		return err
	} else if noted {
		speaker.Spec.UpdateStrategy = strategy
	}
	var was controllerBefore
	if noted, err := recall(d, &was); err != nil {
		return err
	} else if noted {
		d.Spec.Replicas, d.Spec.Template.Spec.Containers[0].Args = was.Replicas, was.Args
	}
	if err := errors.Join(c.client.Patch(ctx, speaker, client.MergeFrom(before)), c.client.Patch(ctx, d, client.MergeFrom(had))); err != nil {
		return fmt.Errorf("start MetalLB: %w", err)
	}
	for complete, updated := false, int32(-1); !complete; {
		err := c.until(ctx, "MetalLB's speakers are ready", func(ctx context.Context) (bool, error) {
			if err := c.client.Get(ctx, client.ObjectKeyFromObject(speaker), speaker); err != nil {
				return false, err
			}
			s, before := speaker.Status, updated
			seen := s.ObservedGeneration >= speaker.Generation
			complete = seen && s.NumberReady > 0 && s.NumberReady == s.DesiredNumberScheduled && s.UpdatedNumberScheduled == s.DesiredNumberScheduled
			if seen {
				updated = s.UpdatedNumberScheduled
			}
			return complete || updated > before, nil // one after the other restarts, and each may take so long
		})
		if err != nil {
			return err
		}
	}
	return nil
}
