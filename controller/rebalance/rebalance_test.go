package rebalance

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// cluster is a Reconciler and what it works on: two nodes, the first of which announces all addresses.
type cluster struct {
	*Reconciler

	t *testing.T
}

func newCluster(t *testing.T, services int) *cluster {
	t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	objects := []client.Object{
		&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "pool"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}},
		&v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}},
	}
	for _, n := range []string{"node-1", "node-2"} {
		objects = append(objects,
			&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: corev1.NodeStatus{
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			}},
			&v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: v1beta1.SpeakerStatusStatus{
				Interfaces: []v1beta1.SpeakerInterface{{Name: "eth0", Subnets: []string{"192.0.2.0/24"}}},
				Conditions: []metav1.Condition{
					{Type: v1beta1.ConditionReady, Status: metav1.ConditionTrue}, {Type: v1beta1.ConditionKeepsConnections, Status: metav1.ConditionTrue},
				},
			}})
	}
	for i := range services {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 10)}).String()
		objects = append(objects, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: fmt.Sprintf("web-%d", i),
				Annotations: map[string]string{kube.AnnotationAnnouncers: a + "=node-1,node-2", kube.AnnotationInUse: a, kube.AnnotationAllocatedFrom: a + "=pool"},
			},
			Spec:   corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: a}}}},
		})
	}
	// An API server takes annotations by the status too; the fake one does not.
	whole := interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, _ string, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
		return c.Patch(ctx, o, p)
	}}
	api := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(whole).WithObjects(objects...).Build()
	return &cluster{&Reconciler{Client: api, Class: kube.NewClass(), After: time.Minute}, t}
}

// run reconciles as a manager would, for so long.
func (c *cluster) run(during time.Duration) {
	c.t.Helper()
	end := time.Now().Add(during)
	for {
		r, err := c.Reconcile(c.t.Context(), reconcile.Request{})
		if err != nil {
			c.t.Fatal(err)
		}
		if r.RequeueAfter == 0 || time.Now().Add(r.RequeueAfter).After(end) {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(r.RequeueAfter)
	}
}

// counts returns how many addresses are recorded at each node.
func (c *cluster) counts() map[string]int {
	c.t.Helper()
	var all corev1.ServiceList
	if err := c.Client.List(c.t.Context(), &all); err != nil {
		c.t.Fatal(err)
	}
	out := map[string]int{}
	for i := range all.Items {
		s := kube.ServiceOf(&all.Items[i])
		for _, r := range s.Record() {
			out[r[0]]++
		}
	}
	return out
}

func edit[T client.Object](c *cluster, name string, o T, change func(T)) {
	c.t.Helper()
	key := client.ObjectKey{Name: name}
	if _, namespaced := any(o).(*corev1.Service); namespaced {
		key.Namespace = "default"
	}
	if err := c.Client.Get(c.t.Context(), key, o); err != nil {
		c.t.Fatal(err)
	}
	change(o)
	if err := c.Client.Update(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
}

func TestRebalance(t *testing.T) {
	type counts = map[string]int
	excluded := func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""} }
	for name, tc := range map[string]struct {
		reason string
		story  func(c *cluster)
		want   counts
	}{
		"Even":  {"half of them are at each node", func(c *cluster) { c.run(2 * time.Minute) }, counts{"node-1": 4, "node-2": 4}},
		"Early": {"nothing moves before the time is over", func(c *cluster) { c.run(59 * time.Second) }, counts{"node-1": 8}},
		"Paced": {"one a second", func(c *cluster) { c.run(61500 * time.Millisecond) }, counts{"node-1": 6, "node-2": 2}},
		"Changed": {"a node that changes lets the time begin again", func(c *cluster) {
			c.run(59 * time.Second)
			edit(c, "node-2", &corev1.Node{}, func(n *corev1.Node) { n.Labels = map[string]string{"rack": "b"} })
			c.run(59 * time.Second)
		}, counts{"node-1": 8}},
		"Interrupted": {"and ends the moves that are left", func(c *cluster) {
			c.run(61500 * time.Millisecond)
			edit(c, "node-2", &corev1.Node{}, excluded)
			c.run(5 * time.Minute)
		}, counts{"node-1": 6, "node-2": 2}},
		"Connections": {"nothing moves while a speaker does not keep connections", func(c *cluster) {
			edit(c, "node-1", &v1beta1.SpeakerStatus{}, func(s *v1beta1.SpeakerStatus) {
				meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{Type: v1beta1.ConditionKeepsConnections, Status: metav1.ConditionFalse})
			})
			c.run(5 * time.Minute)
		}, counts{"node-1": 8}},
		"Local": {"an address of policy Local is counted and stays", func(c *cluster) {
			for i := range 7 {
				edit(c, fmt.Sprintf("web-%d", i), &corev1.Service{}, func(s *corev1.Service) {
					s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
				})
			}
			c.run(5 * time.Minute)
		}, counts{"node-1": 7, "node-2": 1}},
		"Gone": {"a Service that is deleted meanwhile is no error", func(c *cluster) {
			c.run(61500 * time.Millisecond)
			for _, m := range c.course.moves[:1] {
				svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: m.Service.Namespace, Name: m.Service.Name}}
				if err := c.Client.Delete(c.t.Context(), svc); err != nil {
					c.t.Fatal(err)
				}
			}
			c.run(time.Minute)
		}, counts{"node-1": 4, "node-2": 3}},
		"Foreign": {"a Service of another class is not counted, and stays", func(c *cluster) {
			for i := range 6 {
				edit(c, fmt.Sprintf("web-%d", i), &corev1.Service{}, func(s *corev1.Service) {
					s.Spec.LoadBalancerClass = new("example.com/other")
				})
			}
			c.run(5 * time.Minute)
		}, counts{"node-1": 7, "node-2": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 8)
				tc.story(c)
				if got := c.counts(); !maps.Equal(got, tc.want) {
					t.Errorf("%s: got %v, want %v", tc.reason, got, tc.want)
				}
			})
		})
	}
}

// TestShared: addresses that a Service of policy Local shares with others stay too.
func TestShared(t *testing.T) {
	c := newCluster(t, 2)
	var all corev1.ServiceList
	if err := c.Client.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddr("192.0.2.10")
	all.Items[1].Status = all.Items[0].Status
	all.Items[1].Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	slices.Reverse(all.Items)
	sharers, fixed := shared(all.Items, c.Class)
	if len(sharers[a]) != 2 || sharers[a][0].Name != "web-0" || !fixed[a] {
		t.Errorf("sharers %+v, fixed %v", sharers[a], fixed)
	}
}
