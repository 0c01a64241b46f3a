package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// crossing is a cluster in which MetalLB serves shop/web from node-2, and what both programs and Kubernetes would do there is done at once.
type crossing struct {
	*cutover

	t   *testing.T
	api client.WithWatch
	// log is what was done, in order.
	log []string
	// stuck is a node whose session is not established.
	stuck string
	// away is a node that MetalLB's speaker does not come back to.
	away string
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	labelled := func(component string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "metallb-system", Name: component, Labels: map[string]string{"app": "metallb", "component": component}}
	}
	rolling := appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType}
	speaker := map[string]string{"app": "metallb", "component": "speaker"}
	status := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "metallb-system", "name": "l2-x"},
		"status":   map[string]any{"node": "node-2", "serviceName": "web", "serviceNamespace": "shop"},
	}}
	status.SetGroupVersionKind(metalL2Status)
	theirs := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "metallb-system", "name": "l2"}, "spec": map[string]any{"ipAddressPools": []any{"x"}},
	}}
	theirs.SetGroupVersionKind(metalL2Advertisement)
	objects := []client.Object{
		theirs, &appsv1.Deployment{ObjectMeta: labelled("controller"), Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "controller", Args: []string{"--port=7472"}}}}},
		}},
		&appsv1.DaemonSet{ObjectMeta: labelled("speaker"), Spec: appsv1.DaemonSetSpec{UpdateStrategy: rolling, Selector: &metav1.LabelSelector{MatchLabels: speaker}}},
		status,
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}}},
		},
	}
	for _, n := range []string{"node-1", "node-2"} {
		objects = append(objects, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}},
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "speaker-" + n, Labels: speaker}, Spec: corev1.PodSpec{NodeName: n}})
	}
	c := &crossing{t: t}
	c.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, api client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := api.Create(ctx, o, opts...); err != nil {
				return err
			}
			c.log = append(c.log, "create "+kindOf(o))
			return c.follow(ctx, api, o)
		},
		Update: func(ctx context.Context, api client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			c.log = append(c.log, "update "+kindOf(o))
			return errors.Join(api.Update(ctx, o, opts...), c.follow(ctx, api, o))
		},
		Patch: func(ctx context.Context, api client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := api.Patch(ctx, o, p, opts...); err != nil {
				return err
			}
			return c.patched(ctx, api, o)
		},
		Delete: func(ctx context.Context, api client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if _, pod := o.(*corev1.Pod); !pod {
				c.log = append(c.log, "delete "+kindOf(o))
			}
			return api.Delete(ctx, o, opts...)
		},
	}).Build()
	c.cutover = &cutover{client: c.api, namespace: "metallb-system", class: kube.NewClass(), say: func(string, ...any) {}}
	for kind, o := range map[string]client.Object{
		"IPAddressPool":    &v1beta1.IPAddressPool{Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}},
		"L2Advertisement":  &v1beta1.L2Advertisement{},
		"BGPAdvertisement": &v1beta1.BGPAdvertisement{},
		"BGPPeer":          &v1beta1.BGPPeer{Spec: v1beta1.BGPPeerSpec{MyASN: 1, PeerASN: 2, PeerAddress: "198.51.100.1"}},
	} {
		o.SetName("x")
		o.GetObjectKind().SetGroupVersionKind(v1beta1.GroupVersion.WithKind(kind))
		c.conversion.Objects = append(c.conversion.Objects, o)
	}
	return c
}

// follow is what Fairlead does about an object.
func (c *crossing) follow(ctx context.Context, api client.Client, o client.Object) error {
	var svc corev1.Service
	if err := api.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "web"}, &svc); err != nil {
		return err
	}
	condition := func(kind string) {
		svc.Status.Conditions = append(svc.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue})
	}
	switch o := o.(type) {
	case *v1beta1.IPAddressPool:
		condition(v1beta1.ServiceConditionAssigned)
		kube.Annotate(&svc, kube.AnnotationAllocatedFrom, "192.0.2.1=x")
	case *v1beta1.L2Advertisement:
		condition(v1beta1.ServiceConditionAnnounced)
	case *v1beta1.BGPPeer:
		meta.SetStatusCondition(&o.Status.Conditions, metav1.Condition{Type: v1beta1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: "Accepted"})
		return api.Update(ctx, o)
	default:
		return nil
	}
	status := svc.DeepCopy()
	if err := api.Update(ctx, &svc); err != nil {
		return err
	}
	svc.Status = status.Status
	return api.Status().Update(ctx, &svc)
}

// patched is what Kubernetes and the speakers do.
func (c *crossing) patched(ctx context.Context, api client.WithWatch, o client.Object) error {
	switch o := o.(type) {
	case *appsv1.Deployment:
		c.log = append(c.log, fmt.Sprintf("controller %d %s", *o.Spec.Replicas, strings.Join(o.Spec.Template.Spec.Containers[0].Args, " ")))
		n := *o.Spec.Replicas
		o.Status = appsv1.DeploymentStatus{Replicas: n, UpdatedReplicas: n, AvailableReplicas: n}
		return api.Status().Update(ctx, o)
	case *unstructured.Unstructured:
		selectors, _, _ := unstructured.NestedSlice(o.Object, "spec", "nodeSelectors")
		c.log = append(c.log, fmt.Sprintf("MetalLB's L2Advertisement %v", selectors))
	case *appsv1.DaemonSet:
		c.log = append(c.log, "edit speaker")
		o.Status = appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, NumberReady: 2, UpdatedNumberScheduled: 2}
		return api.Status().Update(ctx, o)
	case *corev1.Service:
		c.log = append(c.log, "note "+o.Annotations[kube.AnnotationAnnouncers])
	case *corev1.Node:
		c.log = append(c.log, strings.TrimSpace(o.Name+" "+o.Labels[migratedLabel]))
		switch o.Labels[migratedLabel] {
		case leaving:
			return client.IgnoreNotFound(api.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "speaker-" + o.Name}}))
		case done:
			s := &v1beta1.BGPStatus{ObjectMeta: metav1.ObjectMeta{Name: o.Name}}
			s.Status.Sessions = []v1beta1.BGPSession{{Peer: "x", State: "Established"}}
			if o.Name == c.stuck {
				s.Status.Sessions[0].State = "Active"
			}
			return client.IgnoreAlreadyExists(api.Create(ctx, s))
		case "":
			var d appsv1.DaemonSet
			if err := api.Get(ctx, client.ObjectKey{Namespace: "metallb-system", Name: "speaker"}, &d); err != nil {
				return err
			}
			if d.Spec.Template.Spec.NodeSelector[migratedLabel] == finished || o.Name == c.away {
				return nil
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: "speaker-" + o.Name, Labels: d.Spec.Selector.MatchLabels}}
			pod.Spec.NodeName, pod.Status.Conditions = o.Name, []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			return client.IgnoreAlreadyExists(api.Create(ctx, pod))
		}
	}
	return nil
}

func (c *crossing) speaker() *appsv1.DaemonSet {
	c.t.Helper()
	var d appsv1.DaemonSet
	if err := c.api.Get(c.t.Context(), client.ObjectKey{Namespace: "metallb-system", Name: "speaker"}, &d); err != nil {
		c.t.Fatal(err)
	}
	return &d
}

func (c *crossing) peer() *v1beta1.BGPPeer {
	c.t.Helper()
	var p v1beta1.BGPPeer
	if err := c.api.Get(c.t.Context(), client.ObjectKey{Name: "x"}, &p); err != nil {
		c.t.Fatal(err)
	}
	return &p
}

// whole is a cutover in order.
var whole = []string{
	"controller 2 --port=7472 --webhook-mode=onlywebhook", "note 192.0.2.1=node-2", "create IPAddressPool", "create L2Advertisement",
	"MetalLB's L2Advertisement [map[matchLabels:map[fairlead.io/migrated:finished]]]", "edit speaker", "create BGPPeer", "create BGPAdvertisement",
	"node-1 leaving", "node-1 done", "node-2 leaving", "node-2 done", "edit speaker", "update BGPPeer", "node-1", "node-2",
}

// TestCutover: in this order, and back.
func TestCutover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrossing(t)
		if err := c.ready(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if err := c.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.log, whole) {
			t.Errorf("got %q\nwant %q", c.log, whole)
		}
		if s := c.speaker().Spec; s.Template.Spec.NodeSelector[migratedLabel] != finished || s.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType {
			t.Errorf("MetalLB's speaker may run: %+v", s)
		}
		if s := c.peer().Spec.NodeSelectors; len(s) > 0 {
			t.Errorf("the BGPPeer still selects %v", s)
		}

		c.log = nil
		if err := c.back(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"node-1 done", "node-2 done", "update BGPPeer", "edit speaker", "node-1", "node-2", "edit speaker", "controller 2 --port=7472",
			"MetalLB's L2Advertisement []", "delete BGPPeer", "delete BGPAdvertisement", "delete L2Advertisement", "delete IPAddressPool",
		}
		if !slices.Equal(c.log, want) {
			t.Errorf("back: got %q\nwant %q", c.log, want)
		}
		if d := c.speaker(); d.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || len(d.Annotations) > 0 {
			t.Errorf("MetalLB's speaker is not as it was: %+v", d)
		}
		if s := c.speaker().Spec.Template.Spec; len(s.NodeSelector) > 0 || s.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			t.Errorf("MetalLB's speaker is kept from nodes: %+v", s)
		}
	})
}

// TestCutoverResumed: a session that does not come stops it, with that node's name; the others are as they were, and it goes on where it stopped.
func TestCutoverResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrossing(t)
		c.stuck = "node-1"
		err := c.run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "step 6: node node-1:") || !strings.Contains(err.Error(), "the session with x is Active") {
			t.Fatalf("it ends with %v", err)
		}
		if got := c.peer().Spec.NodeSelectors; len(got) != 1 || got[0].MatchLabels[migratedLabel] != done {
			t.Errorf("the BGPPeer selects %v", got)
		}
		var pods corev1.PodList
		if err := c.api.List(t.Context(), &pods); err != nil || len(pods.Items) != 1 || pods.Items[0].Spec.NodeName != "node-2" {
			t.Errorf("MetalLB's pods are %v, %v", pods.Items, err)
		}
		var s v1beta1.BGPStatus
		if err := c.api.Get(t.Context(), client.ObjectKey{Name: "node-1"}, &s); err != nil {
			t.Fatal(err)
		}
		s.Status.Sessions[0].State = "Established"
		if err := c.api.Update(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		c.log = nil
		if err := c.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"node-2 leaving", "node-2 done", "edit speaker", "update BGPPeer", "node-1", "node-2"}
		if got := c.log[max(0, len(c.log)-len(want)):]; !slices.Equal(got, want) || slices.Contains(c.log, "node-1 leaving") || strings.Contains(strings.Join(c.log, " "), "note") {
			t.Errorf("got %q\nwant it to end with %q", c.log, want)
		}
	})
}

// TestBackResumed: a speaker of MetalLB's that does not come stops the way back, which goes on with the next node when it is run again.
func TestBackResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrossing(t)
		if err := c.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.away = "node-1"
		err := c.back(t.Context())
		if err == nil || !strings.Contains(err.Error(), "step 1: node node-1: wait until MetalLB's speaker is ready") {
			t.Fatalf("it ends with %v", err)
		}
		if got := c.peer().Spec.NodeSelectors; len(got) != 1 || got[0].MatchLabels[migratedLabel] != done {
			t.Errorf("the BGPPeer selects %v", got)
		}
		c.log = nil
		if err := c.back(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []string{"node-2", "edit speaker"}; !slices.Equal(c.log[:2], want) {
			t.Errorf("got %q, want it to begin with %q", c.log, want)
		}
	})
}

// TestManagers: what would start MetalLB again is in the way, until it is said to be paused.
func TestManagers(t *testing.T) {
	for name, edit := range map[string]func(o *metav1.ObjectMeta){
		"MetalLB metallb": func(o *metav1.ObjectMeta) {
			o.OwnerReferences = []metav1.OwnerReference{{Kind: "MetalLB", Name: "metallb"}}
		},
		"Argo CD": func(o *metav1.ObjectMeta) { o.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "x"} },
		"Flux": func(o *metav1.ObjectMeta) {
			maps.Copy(o.Labels, map[string]string{"kustomize.toolkit.fluxcd.io/name": "x"})
		},
	} {
		c := newCrossing(t)
		d := c.speaker()
		if edit(&d.ObjectMeta); c.api.Update(t.Context(), d) != nil {
			t.Fatal("no update")
		}
		if err := c.ready(t.Context(), false); err == nil || !strings.HasPrefix(err.Error(), name+" watches over MetalLB") {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.ready(t.Context(), true); err != nil {
			t.Errorf("%s, paused: %v", name, err)
		}
	}
}

// TestKeepAway: requirements of their own stay, whichever way they are written.
func TestKeepAway(t *testing.T) {
	own := corev1.NodeSelectorRequirement{Key: "rack", Operator: corev1.NodeSelectorOpExists}
	pod := &corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{own}}, {MatchExpressions: []corev1.NodeSelectorRequirement{own}}},
	}}}}
	before := pod.DeepCopy()
	if !keepAway(pod) || keepAway(pod) {
		t.Error("it is done twice, or never")
	}
	for _, term := range pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if len(term.MatchExpressions) != 2 {
			t.Errorf("one of the terms has %v", term.MatchExpressions)
		}
	}
	if comeBack(pod); fmt.Sprint(pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != fmt.Sprint(before.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution) {
		t.Errorf("it was %+v, and is %+v", before.Affinity, pod.Affinity)
	}
}
