package conditions

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

func node(name, address string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}},
	}
}

// TestOverlapping goes through the life of a pool whose addresses are not all its own.
func TestOverlapping(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	pool := &v1beta1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24", "10.96.0.0/24"}},
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(pool).WithStatusSubresource(&v1beta1.IPAddressPool{}).Build()
	told := events.NewFakeRecorder(10)
	r := &Reconciler{Client: api, Live: api, Recorder: told}
	cidr := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/12"}}}
	steps := []struct {
		reason string
		do     func() error
		want   string // the condition's status and reason
		event  bool
		writes bool
	}{
		{"nothing is known", func() error { return nil }, "False Distinct", false, true},
		{"a node beside it", func() error { return api.Create(t.Context(), node("node-1", "198.51.100.1")) }, "False Distinct", false, false},
		{"a node within", func() error { return api.Create(t.Context(), node("node-2", "192.0.2.2")) }, "True NodeAddress", true, true},
		{"another one: the condition says which", func() error { return api.Create(t.Context(), node("node-3", "192.0.2.3")) }, "True NodeAddress", false, true},
		{"without a change nothing is written", func() error { return nil }, "True NodeAddress", false, false},
		{"the nodes go", func() error {
			return errors.Join(api.Delete(t.Context(), node("node-2", "")), api.Delete(t.Context(), node("node-3", "")))
		}, "False Distinct", false, true},
		{"the network of Services", func() error { return api.Create(t.Context(), cidr) }, "True ServiceNetwork", true, true},
	}
	r.networked = true
	version := func() (p v1beta1.IPAddressPool) {
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(pool), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		before := version().ResourceVersion
		if _, err := r.Reconcile(t.Context(), reconcile.Request{}); err != nil {
			t.Fatal(err)
		}
		after := version()
		c := meta.FindStatusCondition(after.Status.Conditions, v1beta1.ConditionOverlapping)
		if got := fmt.Sprintf("%s %s", c.Status, c.Reason); got != step.want {
			t.Errorf("%s: condition is %s, %q, want %s", step.reason, got, c.Message, step.want)
		}
		if !meta.IsStatusConditionTrue(after.Status.Conditions, v1beta1.ConditionAccepted) {
			t.Errorf("%s: the pool is not accepted", step.reason)
		}
		if wrote := after.ResourceVersion != before; wrote != step.writes {
			t.Errorf("%s: written is %t", step.reason, wrote)
		}
		select {
		case e := <-told.Events:
			if !step.event {
				t.Errorf("%s: an event %s", step.reason, e)
			}
		default:
			if step.event {
				t.Errorf("%s: no event", step.reason)
			}
		}
	}
}

// answers is an API server that lists ServiceCIDRs with one error after another.
type answers struct {
	client.Reader
	errs []error
}

func (a *answers) List(context.Context, client.ObjectList, ...client.ListOption) error {
	err := a.errs[0]
	a.errs = a.errs[1:]
	return err
}

func TestHasServiceCIDRs(t *testing.T) {
	kind := networkingv1.Resource("servicecidrs")
	busy := apierrors.NewServiceUnavailable("busy")
	for name, tc := range map[string]struct {
		reason string
		errs   []error
		want   bool
	}{
		"There":     {"as since Kubernetes 1.33", []error{nil}, true},
		"Absent":    {"as before", []error{apierrors.NewNotFound(kind, "")}, false},
		"Forbidden": {"pools are judged all the same", []error{apierrors.NewForbidden(kind, "", nil)}, false},
		"Late":      {"an API server that does not answer is asked again", []error{busy, busy, nil}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &Reconciler{Live: &answers{errs: tc.errs}}
				if got := r.hasServiceCIDRs(t.Context()); got != tc.want {
					t.Errorf("%s: %t", tc.reason, got)
				}
			})
		})
	}
}

func TestRenumbered(t *testing.T) {
	heartbeat := node("node-1", "192.0.2.1")
	heartbeat.ResourceVersion = "2"
	got := map[string]bool{
		"heartbeat":   renumbered().Update(event.UpdateEvent{ObjectOld: node("node-1", "192.0.2.1"), ObjectNew: heartbeat}),
		"new address": renumbered().Update(event.UpdateEvent{ObjectOld: node("node-1", "192.0.2.1"), ObjectNew: node("node-1", "192.0.2.2")}),
		"new node":    renumbered().Create(event.CreateEvent{Object: heartbeat}),
	}
	if diff := cmp.Diff(map[string]bool{"heartbeat": false, "new address": true, "new node": true}, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}
