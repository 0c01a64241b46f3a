package cli

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// uneven is a healthy cluster in which node-1 announces so many addresses, and node-2 none.
func uneven(t *testing.T, n int) *Cluster {
	t.Helper()
	c := healthy(t)
	c.Pools.Items[0].Spec.Addresses = []string{"192.0.2.0/28"}
	svc, slice := c.Services.Items[0], c.Slices.Items[0]
	c.Services.Items, c.Slices.Items = nil, nil
	for i := range n {
		s, e := *svc.DeepCopy(), *slice.DeepCopy()
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		s.Name = fmt.Sprintf("web-%d", i+1)
		s.Status.LoadBalancer.Ingress[0].IP = a.String()
		s.Annotations = map[string]string{kube.AnnotationAnnouncers: a.String() + "=node-1,node-2", kube.AnnotationInUse: a.String()}
		e.Name, e.Labels = s.Name, map[string]string{discoveryv1.LabelServiceName: s.Name}
		c.Services.Items, c.Slices.Items = append(c.Services.Items, s), append(c.Slices.Items, e)
	}
	return c
}

// TestRebalance: as few moves as there can be, and only to where the address may be as well.
func TestRebalance(t *testing.T) {
	for name, tc := range map[string]struct {
		reason      string
		n, most     int
		edit        func(c *Cluster)
		moves       int
		one, two    int
		connections bool
	}{
		"Even": {"half of them", 8, 100, nil, 4, 4, 4, false},
		"Odd":  {"numbers may differ by one", 7, 100, nil, 3, 4, 3, false},
		"One":  {"which is no reason to move", 1, 100, nil, 0, 1, 0, false},
		"Few":  {"a few at a time", 8, 2, nil, 2, 6, 2, false},
		"Excluded": {"not to a node that is taken out", 8, 100, func(c *Cluster) {
			c.Nodes.Items[1].Labels[corev1.LabelNodeExcludeBalancers] = ""
		}, 0, 8, 0, false},
		"Cordoned": {"nor to one that lacks something", 8, 100, func(c *Cluster) {
			c.Nodes.Items[1].Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}
		}, 0, 8, 0, false},
		"Preferred": {"nor against a preference", 8, 100, func(c *Cluster) {
			c.L2Advertisements.Items[0].Spec.PreferredNodeSelectors = []v1beta1.PreferredNodeSelector{{
				Weight: 1, Preference: v1beta1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/hostname": "node-1"}},
			}}
		}, 0, 8, 0, false},
		"Kept": {"it says whether connections go on", 2, 100, func(c *Cluster) {
			for i := range c.Speakers.Items {
				st := &c.Speakers.Items[i].Status
				st.Conditions = append(st.Conditions, metav1.Condition{Type: v1beta1.ConditionKeepsConnections, Status: metav1.ConditionTrue})
			}
		}, 1, 1, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := uneven(t, tc.n)
			for i := range c.Nodes.Items {
				n := &c.Nodes.Items[i]
				if n.Labels == nil {
					n.Labels = map[string]string{}
				}
				n.Labels["kubernetes.io/hostname"] = n.Name
			}
			if tc.edit != nil {
				tc.edit(c)
			}
			r := c.Rebalance(tc.most)
			if len(r.Moves) != tc.moves || r.After["node-1"] != tc.one || r.After["node-2"] != tc.two || r.Before["node-1"] != tc.n || r.Kept != tc.connections {
				t.Errorf("%s: %+v", tc.reason, r)
			}
			seen := map[string]bool{}
			for _, m := range r.Moves {
				if m.From != "node-1" || m.To != "node-2" || seen[m.Address] {
					t.Errorf("%s: %+v", tc.reason, m)
				}
				seen[m.Address] = true
			}
		})
	}
}

// TestRebalanceDone: the records say so; what has changed meanwhile is left alone.
func TestRebalanceDone(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	c := uneven(t, 6)
	r := c.Rebalance(100)
	var objects []client.Object
	for i := range c.Services.Items {
		svc := c.Services.Items[i].DeepCopy()
		if k := svc.Namespace + "/" + svc.Name; k == r.Moves[1].Service {
			svc.Annotations[kube.AnnotationAnnouncers] = r.Moves[1].Address + "=node-9"
		} else if k == r.Moves[2].Service {
			continue // it is gone
		}
		objects = append(objects, svc)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	if err := r.do(t.Context(), api); err != nil {
		t.Fatal(err)
	}
	var all corev1.ServiceList
	if err := api.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for i := range all.Items {
		_, record, _ := strings.Cut(all.Items[i].Annotations[kube.AnnotationAnnouncers], "=")
		got[record]++
	}
	if want := map[string]int{"node-2,node-1": 1, "node-9": 1, "node-1,node-2": 3}; !maps.Equal(got, want) {
		t.Errorf("records are %v, want %v; moves %v", got, want, r.Moves)
	}
}
