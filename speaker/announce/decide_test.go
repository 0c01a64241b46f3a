package announce

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

func ad(spec v1beta1.L2AdvertisementSpec) v1beta1.L2Advertisement {
	return v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: spec}
}

func snapshot(ads ...v1beta1.L2Advertisement) *config.Snapshot {
	for i := range ads {
		ads[i].Name = fmt.Sprintf("l%d", i)
	}
	s, _ := config.Build(config.Objects{
		Pools: []v1beta1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "main", Labels: map[string]string{"zone": "a"}},
			Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24", "10.0.0.0/16", "2001:db8::/64"}}}},
		L2Advertisements: ads,
	})
	return s
}

func labelled(k, v string) []v1beta1.LabelSelector {
	return []v1beta1.LabelSelector{{MatchLabels: map[string]string{k: v}}}
}

// node is a healthy node with one interface on the addresses' segment.
func node(name string, edit ...func(*Node)) Node {
	n := Node{Name: name, Ready: true, SpeakerReady: true, Labels: map[string]string{"name": name}, Links: []Link{
		{Name: "eth0", Subnets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, DefaultRoutes: []config.Family{config.IPv4}},
	}}
	for _, e := range edit {
		e(&n)
	}
	return n
}

func service(edit ...func(*Service)) Service {
	s := Service{Key: Key{"ns", "web"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Endpoints: []string{"a"}}
	for _, e := range edit {
		e(&s)
	}
	return s
}

func local(nodes ...string) func(*Service) {
	return func(s *Service) {
		s.Local, s.Endpoints = true, append([]string{""}, nodes...)
		slices.Sort(s.Endpoints)
	}
}

func TestDecide(t *testing.T) {
	everywhere := ad(v1beta1.L2AdvertisementSpec{})
	unready := func(n *Node) { n.Ready = false }
	stopping := func(n *Node) { n.SpeakerReady = false }
	excluded := func(n *Node) { n.Excluded = true }
	noNetwork := func(n *Node) { n.NetworkUnavailable = true }
	links := func(ls ...Link) func(*Node) { return func(n *Node) { n.Links = ls } }
	onSegment := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")}
	onSegment6 := []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}
	sixth := func(s *Service) { s.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::7")} }
	elsewhere := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}

	cases := map[string]struct {
		reason  string
		ads     []v1beta1.L2Advertisement
		nodes   []Node
		service Service
		node    string
		links   []string
		why     Reason
		message string
	}{
		"OnlyNode": {
			reason: "a node that can, does", ads: []v1beta1.L2Advertisement{everywhere}, nodes: []Node{node("a")}, service: service(),
			node: "a", links: []string{"eth0"}, why: Announced,
		},
		"NoAdvertisement": {
			reason: "the most frequent mistake of MetalLB's users is told", nodes: []Node{node("a")}, service: service(),
			why: NoAdvertisement, message: "no L2Advertisement or BGPAdvertisement is for pool main and this Service",
		},
		"AdvertisementOfOtherPool": {
			reason: "an advertisement is for the pools it names", nodes: []Node{node("a")}, service: service(),
			ads: []v1beta1.L2Advertisement{ad(v1beta1.L2AdvertisementSpec{IPAddressPoolSelectors: labelled("zone", "b")})},
			why: NoAdvertisement, message: "no L2Advertisement or BGPAdvertisement is for pool main and this Service",
		},
		"AdvertisementByPoolLabel": {
			reason: "or selects", nodes: []Node{node("a")}, service: service(),
			ads:  []v1beta1.L2Advertisement{ad(v1beta1.L2AdvertisementSpec{IPAddressPoolSelectors: labelled("zone", "a")})},
			node: "a", links: []string{"eth0"}, why: Announced,
		},
		"AdvertisementOfOtherServices": {
			reason: "an advertisement is for the Services it selects", nodes: []Node{node("a")}, service: service(),
			ads: []v1beta1.L2Advertisement{ad(v1beta1.L2AdvertisementSpec{ServiceSelectors: labelled("tier", "gold")})},
			why: NoAdvertisement, message: "no L2Advertisement or BGPAdvertisement is for pool main and this Service",
		},
		"NoEndpoints": {
			reason: "an address that leads nowhere is not announced", ads: []v1beta1.L2Advertisement{everywhere}, nodes: []Node{node("a")},
			service: service(func(s *Service) { s.Endpoints = nil }),
			why:     NoEndpoints, message: "the Service has no ready endpoint",
		},
		"NoPool": {
			reason: "an address of no pool is not ours to announce", ads: []v1beta1.L2Advertisement{everywhere}, nodes: []Node{node("a")},
			service: service(func(s *Service) { s.Addresses = []netip.Addr{netip.MustParseAddr("203.0.113.1")} }),
			why:     NoPool, message: "the address belongs to no IPAddressPool",
		},
		"NodeSelectors": {
			reason: "only nodes that an advertisement selects", nodes: []Node{node("a"), node("b"), node("c")}, service: service(),
			ads:  []v1beta1.L2Advertisement{ad(v1beta1.L2AdvertisementSpec{NodeSelectors: labelled("name", "b")})},
			node: "b", links: []string{"eth0"}, why: Announced,
		},
		"Preferred": {
			reason: "the sum of the weights decides, over all advertisements", nodes: []Node{node("a"), node("b"), node("c")}, service: service(),
			ads: []v1beta1.L2Advertisement{
				ad(v1beta1.L2AdvertisementSpec{PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{
					{Weight: 5, Preference: labelled("name", "a")[0]}, {Weight: 4, Preference: labelled("name", "c")[0]}}}),
				ad(v1beta1.L2AdvertisementSpec{PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{{Weight: 2, Preference: labelled("name", "c")[0]}}}),
			},
			node: "c", links: []string{"eth0"}, why: Announced,
		},
		"PreferredButUnready": {
			reason: "health goes before preference", nodes: []Node{node("a", unready), node("b")}, service: service(),
			ads: []v1beta1.L2Advertisement{ad(v1beta1.L2AdvertisementSpec{PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{
				{Weight: 5, Preference: labelled("name", "a")[0]}}})},
			node: "b", links: []string{"eth0"}, why: Announced,
		},
		"StoppingHandsOver": {
			reason: "a speaker that stops is followed by another", nodes: []Node{node("a", stopping), node("b")}, service: service(),
			ads: []v1beta1.L2Advertisement{everywhere}, node: "b", links: []string{"eth0"}, why: Announced,
		},
		"AllUnready": {
			reason: "an outage of the control plane makes every node look unready, and withdraws nothing",
			nodes:  []Node{node("a", unready, stopping)}, service: service(),
			ads: []v1beta1.L2Advertisement{everywhere}, node: "a", links: []string{"eth0"}, why: Announced,
		},
		"Local": {
			reason: "with externalTrafficPolicy Local, only where the pods are", nodes: []Node{node("a"), node("b"), node("c")}, service: service(local("c")),
			ads: []v1beta1.L2Advertisement{everywhere}, node: "c", links: []string{"eth0"}, why: Announced,
		},
		"Nobody": {
			reason:  "each node's obstacle is told, the first that was met",
			nodes:   []Node{node("a", excluded), node("b", noNetwork), node("c"), node("d", links()), node("e", unready, excluded)},
			service: service(local("a", "b", "d")),
			ads:     []v1beta1.L2Advertisement{everywhere}, why: NoNode,
			message: "no node can announce: 2 labelled node.kubernetes.io/exclude-from-external-load-balancers, 1 with condition NetworkUnavailable, " +
				"1 without a ready endpoint (externalTrafficPolicy: Local), 1 without a suitable network interface",
		},
		"NoNodes": {
			reason: "before any node is known", service: service(), ads: []v1beta1.L2Advertisement{everywhere},
			why: NoNode, message: "no node is known",
		},
		"LinkOnSegment": {
			reason: "the interface whose subnet has the address, not that of the default route", service: service(),
			nodes: []Node{node("a", links(Link{Name: "eth0", Subnets: elsewhere, DefaultRoutes: []config.Family{config.IPv4}}, Link{Name: "eth1", Subnets: onSegment}))},
			ads:   []v1beta1.L2Advertisement{everywhere}, node: "a", links: []string{"eth1"}, why: Announced,
		},
		"LinkOfDefaultRoute": {
			reason: "an address of no attached subnet is for a router to route here", service: service(),
			nodes: []Node{node("a", links(Link{Name: "eth0", Subnets: elsewhere, DefaultRoutes: []config.Family{config.IPv4}}, Link{Name: "eth1"}))},
			ads:   []v1beta1.L2Advertisement{everywhere}, node: "a", links: []string{"eth0"}, why: Announced,
		},
		"IPv6LinkOnSegment": {
			reason: "each family has its own subnets", service: service(sixth),
			nodes: []Node{node("a", links(Link{Name: "eth0", Subnets: onSegment, DefaultRoutes: []config.Family{config.IPv6}}, Link{Name: "eth1", Subnets: onSegment6}))},
			ads:   []v1beta1.L2Advertisement{everywhere}, node: "a", links: []string{"eth1"}, why: Announced,
		},
		"IPv6LinkOfDefaultRoute": {
			reason: "and its own default route", service: service(sixth),
			nodes: []Node{node("a", links(Link{Name: "eth0", Subnets: onSegment, DefaultRoutes: []config.Family{config.IPv4}}, Link{Name: "eth1", DefaultRoutes: []config.Family{config.IPv6}}))},
			ads:   []v1beta1.L2Advertisement{everywhere}, node: "a", links: []string{"eth1"}, why: Announced,
		},
		"IPv6Nowhere": {
			reason: "a node without IPv6 does not announce an IPv6 address", service: service(sixth), nodes: []Node{node("a")},
			ads: []v1beta1.L2Advertisement{everywhere}, why: NoNode, message: "no node can announce: 1 without a suitable network interface",
		},
		"LinkByName": {
			reason: "names and patterns decide alone; two advertisements add up", service: service(),
			nodes: []Node{node("a", links(Link{Name: "eth0", Subnets: onSegment}, Link{Name: "bond1"}, Link{Name: "bond0"}, Link{Name: "wlan0"}))},
			ads: []v1beta1.L2Advertisement{ad(v1beta1.L2AdvertisementSpec{Interfaces: []string{"bond*"}}),
				ad(v1beta1.L2AdvertisementSpec{Interfaces: []string{"eth0", "bond1"}})},
			node: "a", links: []string{"bond0", "bond1", "eth0"}, why: Announced,
		},
		"NodeWithoutNamedLink": {
			reason: "a node without the interface does not stand", service: service(),
			nodes: []Node{node("a"), node("b", links(Link{Name: "bond0"})), node("c")},
			ads:   []v1beta1.L2Advertisement{ad(v1beta1.L2AdvertisementSpec{Interfaces: []string{"bond0"}})},
			node:  "b", links: []string{"bond0"}, why: Announced,
		},
		"LinksOfTheNodesOwnAdvertisements": {
			reason: "an advertisement that does not select a node gives it no interfaces", service: service(),
			nodes: []Node{node("b", links(Link{Name: "eth0"}, Link{Name: "eth1"}))},
			ads: []v1beta1.L2Advertisement{ad(v1beta1.L2AdvertisementSpec{Interfaces: []string{"eth0"}, NodeSelectors: labelled("name", "a")}),
				ad(v1beta1.L2AdvertisementSpec{Interfaces: []string{"eth1"}, NodeSelectors: labelled("name", "b")})},
			node: "b", links: []string{"eth1"}, why: Announced,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			plan := Decide(snapshot(tc.ads...), View{Nodes: tc.nodes, Services: []Service{tc.service}})
			want := []Announcement{{
				Service: tc.service.Key, Address: tc.service.Addresses[0], Node: tc.node, Links: tc.links, Fresh: true, Reason: tc.why, Message: tc.message,
			}}
			compare := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.IgnoreFields(Announcement{}, "Next")}
			if diff := cmp.Diff(want, plan.Announcements, compare); diff != "" {
				t.Errorf("\n%s\nDecide(…): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestElection states what makes the election safe, over random clusters.
func TestElection(t *testing.T) {
	s := snapshot(ad(v1beta1.L2AdvertisementSpec{}))
	rapid.Check(t, func(t *rapid.T) {
		var v View
		for i := range rapid.IntRange(1, 8).Draw(t, "nodes") {
			v.Nodes = append(v.Nodes, node(fmt.Sprintf("node-%d", i), func(n *Node) {
				n.Ready = rapid.Bool().Draw(t, "ready")
				n.SpeakerReady = rapid.Bool().Draw(t, "speaker")
				n.Excluded = rapid.IntRange(0, 3).Draw(t, "excluded") == 0
			}))
		}
		for i := range rapid.IntRange(1, 20).Draw(t, "services") {
			v.Services = append(v.Services, service(func(s *Service) {
				s.Name = fmt.Sprintf("web-%d", i)
				s.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
			}))
		}
		plan := Decide(s, v)

		shuffled := View{slices.Clone(v.Nodes), slices.Clone(v.Services)}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		r.Shuffle(len(shuffled.Nodes), func(i, j int) {
			shuffled.Nodes[i], shuffled.Nodes[j] = shuffled.Nodes[j], shuffled.Nodes[i]
		})
		r.Shuffle(len(shuffled.Services), func(i, j int) {
			shuffled.Services[i], shuffled.Services[j] = shuffled.Services[j], shuffled.Services[i]
		})
		if !cmp.Equal(plan, Decide(s, shuffled), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
			t.Fatal("the plan depends on the order of its input")
		}

		byName := map[string]Node{}
		anyHealthy := false
		for _, n := range v.Nodes {
			byName[n.Name] = n
			anyHealthy = anyHealthy || n.Ready && n.SpeakerReady && !n.Excluded
		}
		for _, a := range plan.Announcements {
			n := byName[a.Node]
			if a.Node != "" && (n.Excluded || anyHealthy && !(n.Ready && n.SpeakerReady)) {
				t.Fatalf("%s is announced by %+v", a.Address, n)
			}
		}

		// Who loses a node that announces nothing notices nothing, and of who
		// announces, only its own addresses move.
		gone := rapid.IntRange(0, len(v.Nodes)-1).Draw(t, "gone")
		name := v.Nodes[gone].Name
		wasHealthy := v.Nodes[gone].Ready && v.Nodes[gone].SpeakerReady && !v.Nodes[gone].Excluded
		without := View{slices.Delete(slices.Clone(v.Nodes), gone, gone+1), v.Services}
		after := Decide(s, without)
		for i, a := range plan.Announcements {
			onlyHealthy := wasHealthy && !slices.ContainsFunc(without.Nodes, func(n Node) bool { return n.Ready && n.SpeakerReady && !n.Excluded })
			if b := after.Announcements[i]; a.Node != name && a.Node != b.Node && !onlyHealthy {
				t.Fatalf("%s moved from %s to %s when %s was lost", a.Address, a.Node, b.Node, name)
			}
		}
	})
}

// on is an address on a link.
type on struct {
	Address netip.Addr
	Link    string
}

// l2 returns what a node announces where.
func l2(p Plan, node string) (out []on) {
	for _, a := range p.Announcements {
		if a.Node == node && !slices.ContainsFunc(out, func(o on) bool { return o.Address == a.Address }) {
			out = append(out, on{a.Address, a.Links[0]})
		}
	}
	return out
}

// TestBothFamilies has a Service of two addresses announced by who can, each by its own.
func TestBothFamilies(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
	only6 := func(n *Node) {
		n.Links = []Link{{Name: "eth6", Subnets: []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}}}
	}
	both := func(n *Node) {
		n.Links = append(n.Links, Link{Name: "eth6", DefaultRoutes: []config.Family{config.IPv6}})
	}
	cases := map[string]struct {
		nodes []Node
		want  map[string][]on
	}{
		"OneNode":  {[]Node{node("a", both)}, map[string][]on{"a": {{addrs[0], "eth0"}, {addrs[1], "eth6"}}}},
		"TwoNodes": {[]Node{node("a"), node("b", only6)}, map[string][]on{"a": {{addrs[0], "eth0"}}, "b": {{addrs[1], "eth6"}}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			plan := Decide(snapshot(ad(v1beta1.L2AdvertisementSpec{})), View{
				Nodes: tc.nodes, Services: []Service{service(func(s *Service) { s.Addresses = addrs })},
			})
			for node, want := range tc.want {
				if diff := cmp.Diff(want, l2(plan, node), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Errorf("%s: -want, +got:\n%s", node, diff)
				}
			}
		})
	}
}

func TestSpread(t *testing.T) {
	s := snapshot(ad(v1beta1.L2AdvertisementSpec{}))
	v := View{Nodes: []Node{node("node-1"), node("node-2"), node("node-3"), node("node-4")}}
	for i := range 250 {
		v.Services = append(v.Services, service(func(s *Service) {
			s.Name, s.Addresses = fmt.Sprint(i), []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		}))
	}
	plan := Decide(s, v)
	for _, n := range v.Nodes {
		// 62.5 is expected; a binomial is within 4 standard deviations (27) but for 1 in 16,000.
		if got := len(l2(plan, n.Name)); got < 35 || got > 90 {
			t.Errorf("%s announces %d of 250", n.Name, got)
		}
	}
}

func Example() {
	plan := Decide(snapshot(ad(v1beta1.L2AdvertisementSpec{})), View{
		Nodes:    []Node{node("node-1"), node("node-2", func(n *Node) { n.Ready = false })},
		Services: []Service{service(), service(local(), func(s *Service) { s.Name = "mail" })},
	})
	for _, a := range plan.Announcements {
		fmt.Println(a.Service, a.Address, a.Reason, a.Node+a.Message)
	}
	// Output:
	// ns/mail 192.0.2.7 NoNode no node can announce: 2 without a ready endpoint (externalTrafficPolicy: Local)
	// ns/web 192.0.2.7 Announced node-1
}

// BenchmarkDecide is one decision for a whole cluster.
func BenchmarkDecide(b *testing.B) {
	s := snapshot(ad(v1beta1.L2AdvertisementSpec{}))
	var v View
	for i := range 5 {
		v.Nodes = append(v.Nodes, node(fmt.Sprintf("node-%d", i)))
	}
	for i := range 3000 {
		v.Services = append(v.Services, service(func(s *Service) {
			s.Name, s.Addresses = fmt.Sprint(i), []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		}))
	}
	b.ReportAllocs()
	for b.Loop() {
		Decide(s, v)
	}
}

// Services that share an address have one announcer, who suits them all.
func TestSharedAddress(t *testing.T) {
	gold := map[string]string{"tier": "gold"}
	a := service(func(s *Service) { s.Name = "a"; s.Labels = gold })
	b := service(func(s *Service) { s.Name = "b" })
	idle := service(func(s *Service) { s.Name = "idle"; s.Endpoints = nil })
	nodes := []Node{node("a"), node("b"), node("c"), node("d")}
	onlyB := ad(v1beta1.L2AdvertisementSpec{NodeSelectors: labelled("name", "b"), ServiceSelectors: labelled("tier", "gold")})
	everyone := v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	everyone.Spec.ServiceSelectors = []v1beta1.LabelSelector{{MatchExpressions: []v1beta1.LabelSelectorRequirement{{Key: "tier", Operator: "DoesNotExist"}}}}
	p := Decide(snapshot(onlyB, everyone), View{Nodes: nodes, Services: []Service{a, b, idle}})
	for _, got := range p.Announcements {
		want := "b"
		if got.Service.Name == "idle" {
			want = ""
		}
		if got.Node != want {
			t.Errorf("%s is announced by %q (%s %s), want %q", got.Service, got.Node, got.Reason, got.Message, want)
		}
	}
	if len(l2(p, "b")) != 1 {
		t.Errorf("b answers for %v, want one address", l2(p, "b"))
	}
}

// BenchmarkAt decides about one address among many nodes.
func BenchmarkAt(b *testing.B) {
	s := snapshot(ad(v1beta1.L2AdvertisementSpec{}))
	for _, n := range []int{3, 100, 1000} {
		var nodes []Node
		for i := range n {
			nodes = append(nodes, node(fmt.Sprintf("node-%d", i)))
		}
		svc := service(func(*Service) {})
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				At(s, nodes, svc.Addresses[0], []*Service{&svc})
			}
		})
	}
}

// Speakers of different versions weigh alike: FNV-1a, as package hash has it, and then mixed.
func TestWeigh(t *testing.T) {
	for _, a := range []string{"192.0.2.7", "2001:db8::7"} {
		h, addr := fnv.New64a(), netip.MustParseAddr(a)
		b := addr.As16()
		_, _ = h.Write(b[:])
		_, _ = h.Write([]byte("node-1"))
		if got, want := weigh("node-1", addr), mix(h.Sum64()); got != want {
			t.Errorf("%s: %x, want %x", a, got, want)
		}
	}
}
