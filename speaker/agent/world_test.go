package agent

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

func testAgent(apply func(Decided)) *Agent {
	return New(Options{
		Node: "node-1", Class: kube.NewClass(),
		Namespace: "fairlead-system", Service: "speaker", Log: logr.Discard(), Apply: apply, Duplicate: func(string) {},
		Seen: func(announce.Key, *metav1.Condition, map[netip.Addr][]string, []netip.Addr) {},
		Ask:  func(string, netip.Addr) {},
	})
}

// see changes the world by an object that has come or changed, and reports whether that meant anything.
func (a *Agent) see(w *world, o client.Object) bool {
	w.settled()
	a.cached(o)(w)
	return w.dirty()
}

// cached is what follows when a cache has another version of an object.
func (a *Agent) cached(o client.Object) func(*world) {
	kept, _ := kube.TrimEndpointSlice(o)
	return func(w *world) {
		for _, k := range a.kinds() {
			k.put(kept)(w)
		}
	}
}

// miss is see for an object that is gone.
func (a *Agent) miss(w *world, o client.Object, as int) bool {
	w.settled()
	a.kinds()[as].drop(name{o.GetNamespace(), o.GetName()})(w)
	return w.dirty()
}

// In the order of kinds.
const (
	aPool           = 0
	anAdvertisement = 1
	aRouter         = 2
	aRoute          = 3
	aNode           = 6
	aSpeaker        = 7
	aService        = 9
	aSlice          = 10
)

func slice(namespace, name, service string, nodes ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}}}
	for i := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{NodeName: &nodes[i]})
	}
	return s
}

func service(ip string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", Annotations: map[string]string{}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	if ip != "" {
		s.Annotations[kube.AnnotationAllocatedFrom] = ip + "=main"
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	}
	return s
}

func TestView(t *testing.T) {
	a := testAgent(nil)
	w := newWorld("node-1")
	w.links = []link.Link{{Name: "eth0", Default4: true, Subnets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
	for _, o := range []client.Object{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-2"}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}},
		&v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: "node-2"}, Status: v1beta1.SpeakerStatusStatus{
			Interfaces: []v1beta1.SpeakerInterface{{Name: "eth7", Subnets: []string{"192.0.2.0/24", "nonsense"}, DefaultRoutes: []v1beta1.IPFamily{v1beta1.IPv6}}}}},
		slice("fairlead-system", "speaker-x", "speaker", "node-1"),
		service("192.0.2.7"),
		slice("ns", "web-a", "web", "node-1", "node-2"),
		slice("ns", "web-b", "web", "node-2"),
	} {
		if !a.see(w, o) {
			t.Errorf("%T %s changed nothing", o, o.GetName())
		}
		if a.see(w, o) {
			t.Errorf("%T %s, seen again unchanged, changed something", o, o.GetName())
		}
	}
	if a.see(w, slice("other", "web-c", "web", "node-2")) {
		t.Error("endpoints of a Service that has no address of ours lead to a decision")
	}
	if a.see(w, &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Status: v1beta1.SpeakerStatusStatus{Interfaces: []v1beta1.SpeakerInterface{{Name: "stale"}}}}) {
		t.Error("what this speaker says of itself leads to a decision")
	}
	segment := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	want := []announce.Node{
		{Name: "node-1", Ready: true, SpeakerReady: true, Links: []announce.Link{{Name: "eth0", Subnets: segment, DefaultRoutes: []config.Family{config.IPv4}}}},
		{Name: "node-2", Links: []announce.Link{{Name: "eth7", Subnets: segment, DefaultRoutes: []config.Family{config.IPv6}}}},
	}
	compare := []cmp.Option{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if diff := cmp.Diff(want, w.view(), compare...); diff != "" {
		t.Errorf("view: -want, +got:\n%s", diff)
	}
	web := announce.Key{Namespace: "ns", Name: "web"}
	wantService := &announce.Service{
		Key: web, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Endpoints: []string{"node-1", "node-2", "node-2"},
	}
	if diff := cmp.Diff(wantService, w.service(web), compare...); diff != "" {
		t.Errorf("service: -want, +got:\n%s", diff)
	}
	shown := func() int { return len(w.sharers) }

	a.miss(w, slice("ns", "web-a", "web"), aSlice)
	if got := w.service(web).Endpoints; !cmp.Equal(got, []string{"node-2"}) {
		t.Errorf("endpoints after a slice has gone: %v", got)
	}
	if a.miss(w, slice("ns", "web-a", "web"), aSlice); w.dirty() {
		t.Error("a slice that goes twice changes something")
	}
	if a.see(w, service("")); shown() != 0 {
		t.Error("a Service without addresses is in the view")
	}
	a.see(w, service("192.0.2.7"))
	other := service("192.0.2.7")
	class := "example.com/other"
	other.Spec.LoadBalancerClass = &class
	if a.see(w, other); shown() != 0 {
		t.Error("a Service of another class is in the view")
	}
	a.see(w, service("192.0.2.7"))
	foreign := service("192.0.2.7")
	foreign.Annotations = nil
	if a.see(w, foreign); shown() != 0 {
		t.Error("a Service that somebody else assigned is in the view")
	}
	a.see(w, service("192.0.2.7"))
	if !a.miss(w, service(""), aService) || shown() != 0 {
		t.Error("a Service that is gone is in the view")
	}
}

// A condition that a speaker has written leads to no decision, but is looked at.
func TestSeen(t *testing.T) {
	a := testAgent(nil)
	var seen []string
	a.Seen = func(_ announce.Key, c *metav1.Condition, _ map[netip.Addr][]string, _ []netip.Addr) {
		seen = append(seen, c.Message)
	}
	w := newWorld("node-1")
	svc := service("192.0.2.7")
	if !a.see(w, svc) || len(seen) > 0 {
		t.Errorf("a new Service: seen %v", seen)
	}
	svc.Status.Conditions = []metav1.Condition{{Type: v1beta1.ServiceConditionAnnounced, Message: "by node x"}}
	if a.see(w, svc) {
		t.Error("a condition leads to a decision")
	}
	if diff := cmp.Diff([]string{"by node x"}, seen); diff != "" {
		t.Errorf("seen: -want, +got:\n%s", diff)
	}
	if c := w.announced[announce.Key{Namespace: "ns", Name: "web"}]; c == nil || c.Message != "by node x" {
		t.Errorf("the world knows of %v", c)
	}
}

// Nothing is decided before all has been read, and what comes in together is decided upon together.
func TestDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var decided []int
		a := testAgent(func(d Decided) { decided = append(decided, len(d.Changed)) })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			a.decide(ctx)
			close(done)
		}()
		put := a.putService(service("192.0.2.7"))
		a.send(ctx, put)
		synctest.Wait()
		if len(decided) != 0 {
			t.Error("decided before all was read")
		}
		close(a.synced)
		synctest.Wait()
		if diff := cmp.Diff([]int{1}, decided); diff != "" {
			t.Errorf("decisions: -want, +got:\n%s", diff)
		}
		a.send(ctx, put)
		if err := a.Alive(ctx); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(decided) != 1 {
			t.Error("decided again although nothing has changed")
		}

		// What comes while a decision is made is not forgotten.
		apply := a.Apply
		a.Apply = func(d Decided) {
			apply(d)
			if len(decided) == 2 {
				a.changes <- a.putService(service("192.0.2.9"))
				time.Sleep(time.Millisecond)
			}
		}
		a.send(ctx, a.putService(service("192.0.2.8")))
		time.Sleep(maxRest)
		synctest.Wait()
		if len(decided) != 3 {
			t.Errorf("%d decisions, want 3", len(decided))
		}
		stop()
		<-done
		if err := a.Alive(ctx); err == nil {
			t.Error("alive after the end")
		}
	})
}

// What was last accepted comes after the edit that it stands in for: the controller writes it when the edit is judged.
func TestAcceptedSpecArrives(t *testing.T) {
	a := testAgent(nil)
	w := newWorld("node-1")
	pool := &v1beta1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 2}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}},
	}
	l2 := &v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 2}}
	l2.Spec.IPAddressPools = []string{"main"}
	for _, o := range []client.Object{pool, l2} {
		if !a.see(w, o) {
			t.Errorf("%T: a new object means nothing", o)
		}
		if a.see(w, o) {
			t.Errorf("%T: the same object means something", o)
		}
	}
	pool.Status.AcceptedSpec = pool.Spec.DeepCopy()
	l2.Status.AcceptedSpec = l2.Spec.DeepCopy()
	for _, o := range []client.Object{pool, l2} {
		if !a.see(w, o) {
			t.Errorf("%T: what was last accepted means nothing", o)
		}
	}
}
