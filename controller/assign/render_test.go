package assign

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

var now = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)

func given(ips ...string) ipam.Decision {
	d := ipam.Decision{Reason: ipam.Assigned}
	for _, ip := range ips {
		d.Addresses = append(d.Addresses, netip.MustParseAddr(ip))
	}
	return d
}

func refused(r ipam.Reason, message string, keeps ...string) ipam.Decision {
	d := given(keeps...)
	d.Reason, d.Message = r, message
	return d
}

func TestTransition(t *testing.T) {
	// was is a Service as a decision has left it.
	was := func(d ipam.Decision) *corev1.Service {
		s := &corev1.Service{}
		render(s, d, each(d, "main"), now)
		return s
	}
	foreign := refused(ipam.ForeignAddress, "why")
	foreign.Foreign = true
	cases := map[string]struct {
		reason string
		before *corev1.Service
		d      ipam.Decision
		want   []event
	}{
		"First":        {"an address for who had none", &corev1.Service{}, given("192.0.2.1"), []event{{"Normal", "IPAllocated", "Assigned IP 192.0.2.1 from pool main"}}},
		"Same":         {"nothing new", was(given("192.0.2.1")), given("192.0.2.1"), nil},
		"Second":       {"the second family", was(given("192.0.2.1")), given("192.0.2.1", "2001:db8::1"), []event{{"Normal", "IPAllocated", "Assigned IP 2001:db8::1 from pool main"}}},
		"Replaced":     {"another address", was(given("192.0.2.1")), given("192.0.2.2"), []event{{"Normal", "ClearAssignment", "Released IP 192.0.2.1"}, {"Normal", "IPAllocated", "Assigned IP 192.0.2.2 from pool main"}}},
		"Refused":      {"nothing to give", &corev1.Service{}, refused(ipam.NoPool, "why"), []event{{"Warning", "AllocationFailed", "NoPool: why"}}},
		"StillRefused": {"told once", was(refused(ipam.NoPool, "why")), refused(ipam.NoPool, "why"), nil},
		"OtherReason":  {"told when it changes", was(refused(ipam.NoPool, "why")), refused(ipam.PoolExhausted, "full"), []event{{"Warning", "AllocationFailed", "PoolExhausted: full"}}},
		"Incomplete":   {"one of two is no failure", was(given("192.0.2.1")), refused(ipam.NoPool, "no IPv6", "192.0.2.1"), []event{{"Normal", "AdditionalAssignFailed", "no IPv6"}}},
		"Typo":         {"a mistake is told though nothing is lost", was(given("192.0.2.1")), refused(ipam.InvalidRequest, "typo", "192.0.2.1"), []event{{"Warning", "AllocationFailed", "InvalidRequest: typo"}}},
		"Foreign":      {"somebody else's", &corev1.Service{}, foreign, []event{{"Warning", "AllocationFailed", "ForeignAddress: why"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			after := tc.before.DeepCopy()
			render(after, tc.d, each(tc.d, "main"), now)
			got := transition(tc.before, after, &tc.d, []string{"main"})
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(event{})); diff != "" {
				t.Errorf("\n%s\ntransition(…): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRenderLeavesOthersAlone(t *testing.T) {
	vip := corev1.LoadBalancerIPModeVIP
	others := metav1.Condition{Type: "example.com/Ready", Status: metav1.ConditionTrue}
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"example.com/a": "b"}},
		Status: corev1.ServiceStatus{
			Conditions: []metav1.Condition{others},
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
				{IP: "192.0.2.1", Ports: []corev1.PortStatus{{Port: 80, Protocol: corev1.ProtocolTCP}}}}},
		},
	}
	render(svc, given("192.0.2.1"), each(given("192.0.2.1"), "main"), now)
	want := []corev1.LoadBalancerIngress{{IP: "192.0.2.1", IPMode: &vip, Ports: []corev1.PortStatus{{Port: 80, Protocol: corev1.ProtocolTCP}}}}
	if diff := cmp.Diff(want, svc.Status.LoadBalancer.Ingress); diff != "" {
		t.Errorf("ingress: -want, +got:\n%s", diff)
	}
	unrender(svc)
	if diff := cmp.Diff([]metav1.Condition{others}, svc.Status.Conditions); diff != "" {
		t.Errorf("conditions: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"example.com/a": "b"}, svc.Annotations); diff != "" {
		t.Errorf("annotations: -want, +got:\n%s", diff)
	}
}

// each says of the addresses of a decision which pool they belong to: the last one that is named has the rest too.
func each(d ipam.Decision, pools ...string) map[netip.Addr]string {
	from := map[netip.Addr]string{}
	for i, a := range d.Addresses {
		if len(pools) > 0 {
			from[a] = pools[min(i, len(pools)-1)]
		}
	}
	return from
}

// TestMark: whatever Fairlead has assigned bears its mark, also where the pool is no more; else it would be another's after a restart.
func TestMark(t *testing.T) {
	foreign := given("192.0.2.1")
	foreign.Foreign = true
	one, two := given("192.0.2.1"), given("192.0.2.1", "2001:db8::1")
	for name, tc := range map[string]struct {
		reason        string
		before, pools []string
		d             ipam.Decision
		want          string
	}{
		"Pools":   {"which they came from", nil, []string{"a", "b"}, two, "192.0.2.1=a; 2001:db8::1=b"},
		"Edited":  {"it belongs to another pool now", []string{"a"}, []string{"b"}, one, "192.0.2.1=b"},
		"Left":    {"the pool is no more", []string{"a"}, nil, one, "192.0.2.1=a"},
		"One":     {"one of two pools is no more", []string{"a", "b"}, []string{"a", ""}, two, "192.0.2.1=a; 2001:db8::1=b"},
		"Never":   {"it was gone before the address was shown", nil, nil, one, "192.0.2.1=none"},
		"Nothing": {"no address, no mark", nil, nil, refused(ipam.NoPool, "why"), ""},
		"Foreign": {"another's bears none", nil, nil, foreign, ""},
	} {
		s := &corev1.Service{}
		if tc.before != nil {
			render(s, tc.d, each(tc.d, tc.before...), now)
		}
		if render(s, tc.d, each(tc.d, tc.pools...), now); s.Annotations[kube.AnnotationAllocatedFrom] != tc.want {
			t.Errorf("%s: %s: %q, want %q", name, tc.reason, s.Annotations[kube.AnnotationAllocatedFrom], tc.want)
		}
	}
}
