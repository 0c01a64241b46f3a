package assign

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// TestPatchOf has the API server's own merge apply the patch between any two of some Services.
func TestPatchOf(t *testing.T) {
	served := func(d ipam.Decision, pools ...string) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", ResourceVersion: "7", Generation: 2, Annotations: map[string]string{"theirs": "kept"}}}
		s.Status.Conditions = []metav1.Condition{
			{Type: "example.com/Theirs", Status: metav1.ConditionTrue, Reason: "Kept"},
			{Type: v1beta1.ServiceConditionAnnounced, Status: metav1.ConditionTrue, Reason: "Announced"},
			kube.ConflictCondition([]kube.Conflict{{Addr: netip.MustParseAddr("192.0.2.1")}}, 2),
		}
		render(s, d, each(d, pools...), now)
		return s
	}
	left := served(given("192.0.2.1"), "main")
	unrender(left)
	left.Status.LoadBalancer.Ingress = nil
	all := map[string]*corev1.Service{
		"left":    left,
		"one":     served(given("192.0.2.1"), "main"),
		"two":     served(given("192.0.2.1", "2001:db8::1"), "main", "six"),
		"other":   served(given("192.0.2.2"), "main"),
		"refused": served(refused(ipam.NoPool, "why")),
	}
	byType := cmpopts.SortSlices(func(a, b metav1.Condition) bool { return a.Type < b.Type })
	for from, before := range all {
		for to, after := range all {
			patch := patchOf(before.DeepCopy(), after)
			if from == to {
				if patch != nil {
					t.Errorf("%s would be patched though it is as it should be", from)
				}
				continue
			}
			data, err := patch.Data(after)
			if err != nil {
				t.Fatal(err)
			}
			document, err := json.Marshal(before)
			if err != nil {
				t.Fatal(err)
			}
			merged, err := strategicpatch.StrategicMergePatch(document, data, corev1.Service{})
			if err != nil {
				t.Fatal(err)
			}
			var got corev1.Service
			if err := json.Unmarshal(merged, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(after, &got, cmpopts.EquateEmpty(), byType); diff != "" {
				t.Errorf("%s to %s by %s: -want +got\n%s", from, to, data, diff)
			}
		}
	}
}
