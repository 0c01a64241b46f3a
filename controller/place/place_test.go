package place

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

func configured(nodes int) *Placer {
	s, _ := config.Build(config.Objects{
		Pools:            []v1beta1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "main"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/16"}}}},
		L2Advertisements: []v1beta1.L2Advertisement{{ObjectMeta: metav1.ObjectMeta{Name: "all"}}},
	})
	var all []announce.Node
	for i := range nodes {
		all = append(all, announce.Node{
			Name: fmt.Sprint("node-", i), Ready: true, SpeakerReady: true,
			Links: []announce.Link{{Name: "eth0", Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
		})
	}
	p := New()
	p.Configure(s, all)
	return p
}

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }

func svc(i int) *kube.Service { return &kube.Service{Namespace: "ns", Name: fmt.Sprint("web-", i)} }

func key(i int) announce.Key { return announce.Key{Namespace: "ns", Name: svc(i).Name} }

// A thousand addresses on five nodes are two hundred each, and what each would lose is spread over the others.
func TestBalance(t *testing.T) {
	p := configured(5)
	for i := range 1000 {
		p.Place(svc(i), []netip.Addr{addr(i)})
	}
	for i := range 5 {
		n := fmt.Sprint("node-", i)
		if got := p.First(n); got != 200 {
			t.Errorf("%s has %d", n, got)
		}
		for j := range 5 {
			if got := p.Next(n, fmt.Sprint("node-", j)); i != j && got != 50 {
				t.Errorf("node-%d would take over %d of %s", j, got, n)
			}
		}
	}

	// What goes makes room; who is new gets what comes.
	for i := range 100 {
		p.Learn(key(i), nil)
	}
	p.Configure(p.snapshot, append(p.nodes, configured(6).nodes[5]))
	for i := range 100 {
		if got := p.Place(svc(i), []netip.Addr{addr(i)})[addr(i)]; got[0] != "node-5" {
			t.Fatalf("%s goes to %v, though node-5 has %d", addr(i), got, p.First("node-5"))
		}
	}
}

func TestPlace(t *testing.T) {
	p := configured(3)
	a, b := addr(1), addr(2)
	held := svc(1)
	held.Announcers = kube.AnnouncersText(map[netip.Addr][]string{a: {"gone", "node-1"}})
	got := p.Place(held, []netip.Addr{a})
	if diff := cmp.Diff(held.Record(), got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("what is recorded is not touched: -want, +got:\n%s", diff)
	}
	if got := p.Place(svc(2), []netip.Addr{a})[a]; got[0] != "gone" {
		t.Errorf("who shares follows %v", got)
	}
	if got := p.First("gone"); got != 1 {
		t.Errorf("an address that two share counts %d times", got)
	}
	p.Learn(key(1), map[netip.Addr][]string{a: {"node-2"}})
	p.Learn(key(2), map[netip.Addr][]string{a: {"node-2"}})
	if p.First("gone") != 0 || p.First("node-2") != 1 || p.Next("gone", "node-1") != 0 {
		t.Errorf("counts after the address has moved: %v, %v", p.first, p.next)
	}
	two := p.Place(svc(3), []netip.Addr{b, netip.MustParseAddr("192.0.2.1")})
	if len(two) != 1 || two[b][0] == "node-2" {
		t.Errorf("placed %v", two)
	}
	for i := range 4 {
		p.Learn(key(i), nil)
	}
	for n, count := range p.first {
		if count != 0 {
			t.Errorf("%s still has %d", n, count)
		}
	}
	if len(p.holders)+len(p.of) != 0 {
		t.Errorf("remembered: %v, %v", p.holders, p.of)
	}
}

// A new address goes to a node that is to lose what it has only where there is no other.
func TestRetiring(t *testing.T) {
	node := func(name string, spec corev1.NodeSpec) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec, Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}}
	}
	nodes := []corev1.Node{
		node("cordoned", corev1.NodeSpec{Unschedulable: true}),
		node("gone", corev1.NodeSpec{Taints: []corev1.Taint{{Key: corev1.TaintNodeOutOfService}}}),
		node("other", corev1.NodeSpec{}),
	}
	var speakers []v1beta1.SpeakerStatus
	for i := range nodes {
		speakers = append(speakers, v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: nodes[i].Name}, Status: v1beta1.SpeakerStatusStatus{
			Interfaces: []v1beta1.SpeakerInterface{{Name: "eth0", Subnets: []string{"10.0.0.0/8"}}},
			Conditions: []metav1.Condition{{Type: v1beta1.ConditionReady, Status: metav1.ConditionTrue}},
		}})
	}
	p := configured(0)
	p.Configure(p.snapshot, Nodes(nodes, speakers))
	for i := range 3 {
		if got := p.Place(svc(i), []netip.Addr{addr(i)})[addr(i)]; len(got) == 0 || got[0] != "other" {
			t.Errorf("%s goes to %v", addr(i), got)
		}
	}
	p.Configure(p.snapshot, Nodes(nodes[:1], speakers))
	if got := p.Place(svc(4), []netip.Addr{addr(4)})[addr(4)]; len(got) == 0 || got[0] != "cordoned" {
		t.Errorf("where there is no other it goes to %v", got)
	}
}

// TestForgets has a user edit a record again and again: what is no longer there is not remembered.
func TestForgets(t *testing.T) {
	p := New()
	k, a := announce.Key{Namespace: "ns", Name: "web"}, netip.MustParseAddr("192.0.2.1")
	for i := range 100 {
		s := &kube.Service{Namespace: k.Namespace, Name: k.Name, Announcers: fmt.Sprintf("192.0.2.1=node-%d,node-%d", i, i+1)}
		p.Place(s, []netip.Addr{a})
	}
	if len(p.first) != 1 || len(p.next) != 1 {
		t.Errorf("%d nodes and %d pairs are remembered of one record", len(p.first), len(p.next))
	}
	p.Learn(k, nil)
	if n := len(p.first) + len(p.next) + len(p.holders) + len(p.of); n > 0 {
		t.Errorf("%d entries are remembered of a Service that is gone", n)
	}
}
