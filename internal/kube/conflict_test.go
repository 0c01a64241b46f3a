package kube

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func told(c metav1.Condition, shown ...string) *corev1.Service {
	svc := &corev1.Service{Status: corev1.ServiceStatus{Conditions: []metav1.Condition{c}}}
	for _, ip := range shown {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	return svc
}

func TestConflicts(t *testing.T) {
	four := Conflict{netip.MustParseAddr("192.0.2.7"), "02:00:00:00:00:99", "node-2", "eth0"}
	six := Conflict{netip.MustParseAddr("2001:db8::7"), "02:00:00:00:00:98", "node-1", "bond0.7"}
	cases := map[string]struct {
		reason string
		svc    *corev1.Service
		before bool
		read   []Conflict
		// conflicts are what the controller acts upon.
		conflicts []netip.Addr
	}{
		"None":       {"a Service without the condition", &corev1.Service{}, false, nil, nil},
		"BeforeUse":  {"an address that is not announced yet", told(ConflictCondition(true, []Conflict{four}, 3), "192.0.2.7"), true, []Conflict{four}, []netip.Addr{four.Addr}},
		"InUse":      {"one that is: nothing is taken from who is served", told(ConflictCondition(false, []Conflict{four}, 3), "192.0.2.7"), false, []Conflict{four}, nil},
		"Both":       {"both addresses", told(ConflictCondition(true, []Conflict{four, six}, 3), "192.0.2.7"), true, []Conflict{four, six}, []netip.Addr{four.Addr}},
		"Twice":      {"two strangers, one address", told(ConflictCondition(true, []Conflict{four, four}, 3), "192.0.2.7"), true, []Conflict{four, four}, []netip.Addr{four.Addr}},
		"Over":       {"what is over", told(metav1.Condition{Type: v1beta1.ServiceConditionAddressConflict, Status: metav1.ConditionFalse, Reason: FoundBeforeUse, Message: "192.0.2.7 is also used by x"}), false, nil, nil},
		"Unreadable": {"what a user has written", told(metav1.Condition{Type: v1beta1.ServiceConditionAddressConflict, Status: metav1.ConditionTrue, Reason: FoundBeforeUse, Message: "192.0.2.7; x is also used by y"}, "192.0.2.7"), true, nil, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before, read := ReadConflicts(tc.svc)
			if before != tc.before {
				t.Errorf("%s: before use is %t", tc.reason, before)
			}
			if diff := cmp.Diff(tc.read, read, sameAddr); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.conflicts, ServiceOf(tc.svc).Conflicts, sameAddr, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: conflicts: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	want := "192.0.2.7 is also used by 02:00:00:00:00:99, seen by node-2 on eth0; 2001:db8::7 is also used by 02:00:00:00:00:98, seen by node-1 on bond0.7"
	if c := ConflictCondition(true, []Conflict{four, six}, 3); c.Message != want || c.Reason != "FoundBeforeUse" || c.ObservedGeneration != 3 {
		t.Errorf("got %+v", c)
	}
}

func TestDropConflicts(t *testing.T) {
	c := ConflictCondition(true, []Conflict{{Addr: netip.MustParseAddr("192.0.2.7")}, {Addr: netip.MustParseAddr("2001:db8::7")}}, 1)
	for name, tc := range map[string]struct {
		reason string
		svc    *corev1.Service
		want   int
	}{
		"Shown":    {"as long as one address is shown, the condition is the speakers'", told(c, "192.0.2.8", "2001:db8::7"), 1},
		"NotShown": {"what is not shown is no conflict", told(c, "192.0.2.8"), 0},
	} {
		if DropConflicts(tc.svc); len(tc.svc.Status.Conditions) != tc.want {
			t.Errorf("%s: %s: %d conditions", name, tc.reason, len(tc.svc.Status.Conditions))
		}
	}
}

func FuzzConflicts(f *testing.F) {
	f.Add("192.0.2.7 is also used by 02:00:00:00:00:99, seen by node-2 on eth0", "192.0.2.7")
	f.Add("192.0.2.7 is also used by , seen by  on ; 2001:db8::7 is also used by ", "2001:db8::7")
	f.Add("fe80::1%eth0 is also used by x, seen by y on z; ::ffff:192.0.2.7 is also used by y, seen by x on z", "::ffff:192.0.2.7")
	f.Fuzz(func(t *testing.T, message, addr string) {
		_, read := ReadConflicts(told(metav1.Condition{Type: v1beta1.ServiceConditionAddressConflict, Status: metav1.ConditionTrue, Message: message}))
		for _, c := range read {
			if a := c.Addr; !a.IsValid() || a.Zone() != "" || a.Is4In6() {
				t.Fatalf("%q was read as %v", message, read)
			}
		}
		a, err := netip.ParseAddr(addr)
		if err != nil || a.Zone() != "" {
			return
		}
		want := Conflict{Addr: a.Unmap(), MAC: "02:00:00:00:00:99", Node: "node-1", Link: "eth0"}
		before, again := ReadConflicts(told(ConflictCondition(true, []Conflict{want}, 1)))
		if !before || len(again) != 1 || again[0] != want {
			t.Fatalf("%+v was read as %+v", want, again)
		}
	})
}
