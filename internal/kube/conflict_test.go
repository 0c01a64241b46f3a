package kube

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func TestConflictCondition(t *testing.T) {
	four := Conflict{netip.MustParseAddr("192.0.2.7"), "ns", "web", "02:00:00:00:00:99", "node-2", "eth0", true}
	six := Conflict{netip.MustParseAddr("2001:db8::7"), "ns", "web", "02:00:00:00:00:98", "node-1", "bond0.7", true}
	want := "192.0.2.7 is also used by 02:00:00:00:00:99, seen by node-2 on eth0; 2001:db8::7 is also used by 02:00:00:00:00:98, seen by node-1 on bond0.7"
	if c := ConflictCondition([]Conflict{four, six}, 3); c.Message != want || c.Reason != FoundBeforeUse || c.ObservedGeneration != 3 {
		t.Errorf("got %+v", c)
	}
	six.Before = false
	if c := ConflictCondition([]Conflict{four, six}, 3); c.Reason != FoundInUse {
		t.Errorf("one of the two is in use, and the reason is %s", c.Reason)
	}
}

func TestConflictsOf(t *testing.T) {
	s := &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	s.Status.Conflicts = []v1beta1.AddressConflict{
		{Address: "192.0.2.7", Namespace: "ns", Service: "web", MAC: "02:00:00:00:00:99", Interface: "eth0", BeforeUse: true}, {Address: "x"},
	}
	want := []Conflict{{netip.MustParseAddr("192.0.2.7"), "ns", "web", "02:00:00:00:00:99", "node-1", "eth0", true}}
	if diff := cmp.Diff(want, ConflictsOf(s), compareAddrs); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}
