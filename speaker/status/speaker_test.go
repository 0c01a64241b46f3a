package status

import (
	"slices"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// TestSpeaker goes through the life of a SpeakerStatus, and hears what is told of it.
func TestSpeaker(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta1.SpeakerStatus{}).
		WithObjects(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}).Build()
	told := events.NewFakeRecorder(10)
	s := NewSpeaker(api, told, "node-1", logr.Discard())
	lenient := &ARP{IPVS: true, Lenient: []string{"eth0"}}
	version := ""
	for _, step := range []struct {
		reason string
		own    Own
		want   []string // the conditions' type and reason
		event  bool
		writes bool
	}{
		{"it is made", Own{}, []string{"Connected Connected", "Ready Announcing"}, false, true},
		{"without a change nothing is written", Own{}, []string{"Connected Connected", "Ready Announcing"}, false, false},
		{"the kernel answers", Own{ARP: lenient}, []string{"Connected Connected", "Ready Announcing", "StrictARP NotStrict"}, true, true},
		{"which is told once", Own{ARP: lenient, Announced: 1}, []string{"Connected Connected", "Ready Announcing", "StrictARP NotStrict"}, false, true},
		{"a speaker that starts knows no better", Own{Announced: 1}, []string{"Connected Connected", "Ready Announcing", "StrictARP NotStrict"}, false, false},
		{"it does not any more", Own{ARP: &ARP{IPVS: true}, Announced: 1}, []string{"Connected Connected", "Ready Announcing", "StrictARP Strict"}, false, true},
		{"the mode changes", Own{ARP: &ARP{}, Announced: 1}, []string{"Connected Connected", "Ready Announcing"}, false, true},
		{"a link fails", Own{ARP: &ARP{}, Errors: map[string]string{"eth0 (ARP)": "no"}}, []string{"Connected Connected", "Ready LinkFailed"}, false, true},
	} {
		if err := s.write(t.Context(), step.own); err != nil {
			t.Fatalf("%s: %v", step.reason, err)
		}
		var is v1beta1.SpeakerStatus
		if err := api.Get(t.Context(), types.NamespacedName{Name: "node-1"}, &is); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range is.Status.Conditions {
			got = append(got, c.Type+" "+c.Reason)
		}
		slices.Sort(got)
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", step.reason, diff)
		}
		if wrote := is.ResourceVersion != version; wrote != step.writes {
			t.Errorf("%s: written %t", step.reason, wrote)
		}
		version = is.ResourceVersion
		select {
		case e := <-told.Events:
			if !step.event {
				t.Errorf("%s: told %s", step.reason, e)
			}
		default:
			if step.event {
				t.Errorf("%s: nothing is told", step.reason)
			}
		}
	}
}
