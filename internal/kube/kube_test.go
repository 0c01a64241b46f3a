package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func annotatedWith(annotations map[string]string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: annotations}}
}

func TestRequest(t *testing.T) {
	type want struct {
		Pool  string
		IPs   []netip.Addr
		Claim string
		Err   string
	}
	four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	cases := map[string]struct {
		reason string
		svc    *corev1.Service
		want   want
	}{
		"Nothing":      {"a Service that asks for nothing", annotatedWith(nil), want{}},
		"Pool":         {"a pool", annotatedWith(map[string]string{"fairlead.io/pool": "gold"}), want{Pool: "gold"}},
		"EmptyPool":    {"an empty name is a mistake", annotatedWith(map[string]string{"fairlead.io/pool": " "}), want{Err: `annotation fairlead.io/pool: "" is not the name of a pool: name one, or remove the annotation`}},
		"MetalLBPool":  {"MetalLB's key", annotatedWith(map[string]string{"metallb.io/address-pool": "gold"}), want{Pool: "gold"}},
		"OldPool":      {"MetalLB's old key", annotatedWith(map[string]string{"metallb.universe.tf/address-pool": "gold"}), want{Pool: "gold"}},
		"PureLBPool":   {"PureLB's key", annotatedWith(map[string]string{"purelb.io/service-group": "gold"}), want{Pool: "gold"}},
		"OursFirst":    {"our key goes before others", annotatedWith(map[string]string{"metallb.io/address-pool": "a", "fairlead.io/pool": "b"}), want{Pool: "b"}},
		"Both":         {"an address of each family", annotatedWith(map[string]string{"fairlead.io/ips": "192.0.2.7, 2001:db8::7"}), want{IPs: []netip.Addr{four, six}}},
		"KubeVip":      {"kube-vip's key", annotatedWith(map[string]string{"kube-vip.io/loadbalancerIPs": "192.0.2.7"}), want{IPs: []netip.Addr{four}}},
		"Cilium":       {"Cilium's key", annotatedWith(map[string]string{"lbipam.cilium.io/ips": "2001:db8::7"}), want{IPs: []netip.Addr{six}}},
		"PureLB":       {"PureLB's key", annotatedWith(map[string]string{"purelb.io/addresses": "192.0.2.7"}), want{IPs: []netip.Addr{four}}},
		"Mapped":       {"IPv4 in IPv6 notation is IPv4", annotatedWith(map[string]string{"fairlead.io/ips": "::ffff:192.0.2.7"}), want{IPs: []netip.Addr{four}}},
		"Field":        {"the field of the Service", &corev1.Service{Spec: corev1.ServiceSpec{LoadBalancerIP: "192.0.2.7"}}, want{IPs: []netip.Addr{four}}},
		"FieldLast":    {"annotations go before the field", &corev1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"metallb.io/loadBalancerIPs": "2001:db8::7"}}, Spec: corev1.ServiceSpec{LoadBalancerIP: "192.0.2.7"}}, want{IPs: []netip.Addr{six}}},
		"BadField":     {"the field is named", &corev1.Service{Spec: corev1.ServiceSpec{LoadBalancerIP: "x"}}, want{Err: `spec.loadBalancerIP: "x" is not an IP address`}},
		"NotAnAddress": {"the annotation is named", annotatedWith(map[string]string{"fairlead.io/ips": "192.0.2.256"}), want{Err: `annotation fairlead.io/ips: "192.0.2.256" is not an IP address`}},
		"EmptyIPs":     {"an empty list is a mistake", annotatedWith(map[string]string{"fairlead.io/ips": ""}), want{Err: `annotation fairlead.io/ips: "" is not an IP address`}},
		"TrailingComma": {"so is an empty entry", annotatedWith(map[string]string{"fairlead.io/ips": "192.0.2.7,"}),
			want{Err: `annotation fairlead.io/ips: "" is not an IP address`}},
		"Zone":      {"and a zone", annotatedWith(map[string]string{"fairlead.io/ips": "fe80::1%eth0"}), want{Err: `annotation fairlead.io/ips: "fe80::1%eth0" is not an IP address`}},
		"OneFamily": {"one address of a family", annotatedWith(map[string]string{"fairlead.io/ips": "192.0.2.7,192.0.2.8"}), want{Err: `annotation fairlead.io/ips: "192.0.2.7,192.0.2.8" has more than one IPv4 address`}},
		"Claim":     {"a claim", annotatedWith(map[string]string{"fairlead.io/claim": "web"}), want{Claim: "web"}},
		"ClaimAndTheirs": {"a claim goes before others' annotations and the field", &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"fairlead.io/claim": "web", "metallb.io/loadBalancerIPs": "192.0.2.7", "metallb.io/address-pool": "a"}},
			Spec:       corev1.ServiceSpec{LoadBalancerIP: "192.0.2.7"},
		}, want{Claim: "web"}},
		"ClaimAndIPs": {"what says the same twice may differ", annotatedWith(map[string]string{"fairlead.io/claim": "web", "fairlead.io/ips": "192.0.2.7"}),
			want{Claim: "web", Err: "annotation fairlead.io/claim: the IPClaim says which addresses; remove annotation fairlead.io/ips"}},
		"ClaimAndPool": {"and so may a pool", annotatedWith(map[string]string{"fairlead.io/claim": "web", "fairlead.io/pool": "a"}),
			want{Claim: "web", Err: "annotation fairlead.io/claim: the IPClaim says which addresses; remove annotation fairlead.io/pool"}},
		"ClaimElsewhere": {"a claim is in the Service's namespace", annotatedWith(map[string]string{"fairlead.io/claim": "team/web"}),
			want{Err: `annotation fairlead.io/claim: "team/web" is not the name of an IPClaim in the Service's namespace`}},
		"LongName": {"a message has room for a part of what a tenant writes", annotatedWith(map[string]string{"fairlead.io/pool": strings.Repeat("x", 1<<18)}),
			want{Err: `annotation fairlead.io/pool: "` + strings.Repeat("x", 64) + `…" is not the name of a pool: name one, or remove the annotation`}},
		"LongList": {"of a list too", annotatedWith(map[string]string{"fairlead.io/ips": strings.Repeat("x", 1<<18)}),
			want{Err: `annotation fairlead.io/ips: "` + strings.Repeat("x", 64) + `…" is not an IP address`}},
		"LongKey": {"a key has a bound", annotatedWith(map[string]string{"fairlead.io/sharing-key": strings.Repeat("x", 254)}),
			want{Err: "the sharing key has more than 253 bytes"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := ServiceOf(tc.svc)
			got := want{s.Pool, s.IPs, s.Claim, s.Invalid}
			if diff := cmp.Diff(tc.want, got, sameAddr); diff != "" {
				t.Errorf("\n%s\nServiceOf(…): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSharing(t *testing.T) {
	svc := func(annotations map[string]string) *corev1.Service {
		s := annotatedWith(annotations)
		s.Spec.Selector = map[string]string{"b": "2", "a": "1"}
		s.Spec.Ports = []corev1.ServicePort{{Port: 53, Protocol: corev1.ProtocolUDP}, {Port: 80}}
		return s
	}
	ports := []Port{{"UDP", 53}, {"TCP", 80}}
	for name, tc := range map[string]struct {
		reason string
		svc    *corev1.Service
		want   Service
	}{
		"None":    {"what is not shared needs no ports", svc(nil), Service{}},
		"Ours":    {"our key", svc(map[string]string{"fairlead.io/sharing-key": "k", "metallb.io/allow-shared-ip": "x"}), Service{Sharing: "k", Ports: ports, Selector: "a=1,b=2"}},
		"MetalLB": {"MetalLB's key", svc(map[string]string{"metallb.io/allow-shared-ip": "k"}), Service{Sharing: "k", Ports: ports, Selector: "a=1,b=2"}},
		"Old":     {"MetalLB's old key", svc(map[string]string{"metallb.universe.tf/allow-shared-ip": "k"}), Service{Sharing: "k", Ports: ports, Selector: "a=1,b=2"}},
		"Cilium":  {"Cilium's key", svc(map[string]string{"lbipam.cilium.io/sharing-key": "k"}), Service{Sharing: "k", Ports: ports, Selector: "a=1,b=2"}},
		"Empty":   {"an empty key shares with none", svc(map[string]string{"fairlead.io/sharing-key": "", "metallb.io/allow-shared-ip": "x"}), Service{}},
		"Claim":   {"users of one claim share too", svc(map[string]string{"fairlead.io/claim": "c"}), Service{Claim: "c", Ports: ports, Selector: "a=1,b=2"}},
	} {
		if diff := cmp.Diff(tc.want, ServiceOf(tc.svc)); diff != "" {
			t.Errorf("%s: %s: -want, +got:\n%s", name, tc.reason, diff)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"192.0.2.7", "192.0.2.7,2001:db8::7", ",", "::ffff:192.0.2.7", "fe80::1%eth0", " 192.0.2.7 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		s := ServiceOf(annotatedWith(map[string]string{AnnotationIPs: list}))
		ips := s.IPs
		if s.Invalid != "" {
			return
		}
		if len(ips) < 1 || len(ips) > 2 || len(ips) == 2 && ips[0].Is4() == ips[1].Is4() {
			t.Fatalf("%q was read as %v", list, ips)
		}
		for _, a := range ips {
			if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
				t.Fatalf("%q was read as %v", list, ips)
			}
		}
	})
}

func TestParseClasses(t *testing.T) {
	for list, want := range map[string]string{
		"fairlead.io/lb": "[fairlead.io/lb]", "lb": "[lb]", "a, example.com/b,a": "[a example.com/b]",
		"": "error", "a,": "error", "/lb": "error", "a/b/c": "error", "two words": "error",
	} {
		names, err := ParseClasses(list)
		got := fmt.Sprint(names)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", list, got, err, want)
		}
	}
}

// TestAdopted follows what a Service asks for by the annotations of another implementation through its adoption.
func TestAdopted(t *testing.T) {
	const key = "kube-vip.io/loadbalancerIPs"
	svc := annotatedWith(map[string]string{key: "192.0.2.9"})
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}}
	var s Service
	look := func(reason string, prior bool, adopted int) {
		t.Helper()
		if s = ServiceOf(svc); s.Prior != prior || len(s.Adopted) != adopted {
			t.Errorf("%s: prior %t, adopted %v", reason, s.Prior, s.Adopted)
		}
	}
	look("before it is adopted", true, 0)
	NoteAdopted(svc, &s, s.Shown)
	Annotate(svc, AnnotationAllocatedFrom, "192.0.2.7=pool")
	look("when it is adopted", true, 1)
	NoteAdopted(svc, &s, s.Shown)
	look("as long as it asks for the same", true, 1)
	svc.Annotations[key] = "192.0.2.8"
	look("when it asks for another", false, 1)
	NoteAdopted(svc, &s, s.Shown)
	svc.Annotations[key] = "192.0.2.9"
	look("what it once asked for is a demand as any other later", false, 1)
	NoteAdopted(svc, &s, []netip.Addr{netip.MustParseAddr("192.0.2.9")})
	if _, noted := svc.Annotations[AnnotationAdopted]; noted {
		t.Error("what it does not have any more is still noted as adopted")
	}
	svc.Annotations[AnnotationIPs], svc.Annotations[AnnotationAllocatedFrom] = "192.0.2.9", ""
	delete(svc.Annotations, AnnotationAllocatedFrom)
	look("who asks by our annotation means us", false, 0)
}

// TestMarked: two marks, of which one is enough; a mark of other addresses is an old one.
func TestMarked(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		mark     string
		assigned bool
		shown    []string
		want     bool
	}{
		"Both":      {"as Fairlead writes it", "192.0.2.1=a", true, []string{"192.0.2.1"}, true},
		"Mark":      {"somebody removed the condition", "192.0.2.1=a", false, []string{"192.0.2.1"}, true},
		"Condition": {"somebody removed the annotation", "", true, []string{"192.0.2.1"}, true},
		"Unread":    {"somebody edited the annotation", "a", true, []string{"192.0.2.1"}, true},
		"Neither":   {"another implementation assigned it", "", false, []string{"192.0.2.1"}, false},
		"Old":       {"another implementation assigned another since", "192.0.2.1=a", true, []string{"192.0.2.9"}, false},
		"Longer":    {"the same address, written otherwise", "2001:db8::1=a", true, []string{"2001:db8:0::1"}, true},
		"Cleared":   {"somebody cleared the addresses", "192.0.2.1=a", false, nil, true},
		"Part":      {"a family is gone", "192.0.2.1=a; 2001:db8::1=b", true, []string{"2001:db8::1"}, true},
	} {
		svc := &corev1.Service{}
		Annotate(svc, AnnotationAllocatedFrom, tc.mark)
		if tc.assigned {
			svc.Status.Conditions = []metav1.Condition{{Type: v1beta1.ServiceConditionAssigned, Status: metav1.ConditionTrue}}
		}
		for _, a := range tc.shown {
			svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
		}
		if got := Marked(svc); got != tc.want {
			t.Errorf("%s: %s: %t, want %t", name, tc.reason, got, tc.want)
		}
	}
}

func TestServes(t *testing.T) {
	class := func(name string) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &name}}
	}
	classless := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
	clusterIP := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}}
	for name, tc := range map[string]struct {
		class Class
		svc   *corev1.Service
		want  bool
	}{
		"Ours":           {NewClass(), class(DefaultClass), true},
		"Others":         {NewClass(), class("example.com/lb"), false},
		"Classless":      {NewClass(), classless, true},
		"ClasslessOff":   {Class{[]string{DefaultClass}, false}, classless, false},
		"OtherType":      {NewClass(), clusterIP, false},
		"OursUnderOther": {Class{[]string{"example.com/lb"}, false}, class(DefaultClass), false},
		"OneOfSeveral":   {Class{[]string{"example.com/lb", "lb"}, false}, class("lb"), true},
	} {
		if got := tc.class.Serves(tc.svc); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

func TestServiceOf(t *testing.T) {
	policy := corev1.IPFamilyPolicyRequireDualStack
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", Labels: map[string]string{"a": "b"},
			Annotations: map[string]string{AnnotationAllocatedFrom: "192.0.2.7=main", AnnotationPool: "main"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, IPFamilyPolicy: &policy,
			IPFamilies:            []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol},
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
		},
		Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}, {Hostname: "lb.example.com"}}},
			Conditions:   []metav1.Condition{{Type: v1beta1.ServiceConditionAssigned, Status: metav1.ConditionTrue}},
		},
	}
	want := Service{
		Namespace: "ns", Name: "web", Labels: map[string]string{"a": "b"}, Families: []v1beta1.IPFamily{v1beta1.IPv6, v1beta1.IPv4},
		RequireAll: true, Local: true, Pool: "main", Shown: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Names: []string{"lb.example.com"}, Marked: true,
	}
	got := ServiceOf(svc)
	if diff := cmp.Diff(want, got, sameAddr); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	got.Labels["a"] = "c"
	if svc.Labels["a"] != "b" {
		t.Error("what was read shares its labels with the object")
	}
}

func TestEndpoints(t *testing.T) {
	yes, no, node := true, false, "node-1"
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "web-1", ResourceVersion: "7", Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
	}, Endpoints: []discoveryv1.Endpoint{
		{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no}},
		{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}}, // drains
		{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &no}},
		{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &no}}, // written by hand
		{}, // unknown is ready
	}}
	want := &Slice{Namespace: "ns", Name: "web-1", ResourceVersion: "7", Service: "web", Usable: []string{"", "node-1", "node-1"}, Ready: []string{"", "node-1"}}
	if diff := cmp.Diff(want, SliceOf(slice)); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	slice.Endpoints = slice.Endpoints[1:4]
	if got := SliceOf(slice); len(got.Ready) > 0 || len(got.Usable) != 1 {
		t.Errorf("of endpoints that end: %+v", got)
	}
}

func TestNodeOf(t *testing.T) {
	got := NodeOf(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: map[string]string{corev1.LabelNodeExcludeBalancers: ""}},
		Spec:       corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeExternalIP, Address: "203.0.113.1"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeInternalIP, Address: "2001:db8::1"}},
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}, {Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}},
	})
	want := Node{Name: "node-1", Labels: map[string]string{corev1.LabelNodeExcludeBalancers: ""}, NetworkUnavailable: true, Excluded: true,
		Cordoned: true, OutOfService: true, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}
	if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

// away is an API server that cannot be reached for a number of requests.
type away int

func (a *away) RoundTrip(*http.Request) (*http.Response, error) {
	if *a--; *a >= 0 {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestPatient(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, method string
		away           away
		limit          time.Duration
		ok             bool
	}{
		"ReadWaits":    {"a read waits for the API server to come back", http.MethodGet, 30, time.Hour, true},
		"WriteFails":   {"a write is the caller's to repeat", http.MethodPatch, 1, time.Hour, false},
		"UntilTheEnd":  {"not for longer than the caller does", http.MethodGet, 30, 5 * time.Second, false},
		"NothingWrong": {"nor when there is nothing to wait for", http.MethodPatch, 0, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tc.limit)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, tc.method, "http://192.0.2.1/", nil)
				if err != nil {
					t.Fatal(err)
				}
				response, err := patient{&tc.away}.RoundTrip(r)
				if (err == nil) != tc.ok {
					t.Errorf("%s: error %v", tc.reason, err)
				}
				if err != nil {
					return
				}
				defer response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", tc.reason, response.Status)
				}
			})
		})
	}
}
