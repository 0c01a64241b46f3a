package announce

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

func TestDutyOf(t *testing.T) {
	cases := map[string]struct {
		reason string
		node   *Node
		left   bool
		want   Duty
	}{
		"Well":        {"a node serves", &Node{}, true, Serving},
		"Excluded":    {"one that is excluded says first that it leaves", &Node{Excluded: true}, false, Leaving},
		"ExcludedOff": {"and then announces nothing", &Node{Excluded: true}, true, Off},
		"Retiring":    {"one that retires leaves too", &Node{Retiring: true}, false, Leaving},
		"RetiringOff": {"and keeps what nobody else has", &Node{Retiring: true}, true, Relieved},
		"Both":        {"who is excluded keeps nothing", &Node{Retiring: true, Excluded: true}, true, Off},
		"NoNetwork":   {"where nothing can be carried nothing is announced", &Node{NetworkUnavailable: true}, false, Off},
		"Deleted":     {"a Node that is deleted leaves", nil, false, Leaving},
		"DeletedOff":  {"for good", nil, true, Off},
	}
	for name, tc := range cases {
		if got := DutyOf(tc.node, tc.left); got != tc.want {
			t.Errorf("%s: %s: %d, want %d", name, tc.reason, got, tc.want)
		}
	}
}

// said is a Route in a form that can be compared.
func said(r Route) map[string]string {
	out := map[string]string{}
	for _, p := range r.Peers {
		out[p.Peer] = p.Attributes.key()
	}
	return out
}

// routed is what operators have written, drawn at random: few of each, so that they meet.
type routed struct {
	*config.Snapshot
	peers []v1beta1.BGPPeer
	ads   []v1beta1.BGPAdvertisement
}

func drawRouted(t *rapid.T) routed {
	zone := func(z string) []v1beta1.LabelSelector {
		if z == "" {
			return nil
		}
		return []v1beta1.LabelSelector{{MatchLabels: map[string]string{"zone": z}}}
	}
	out := routed{}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Generation: 1} }
	for i, name := range []string{"p1", "p2"}[:rapid.IntRange(0, 2).Draw(t, "peers")] {
		p := v1beta1.BGPPeer{ObjectMeta: meta(name), Spec: v1beta1.BGPPeerSpec{
			MyASN: 64512, PeerASN: 64513, PeerAddress: fmt.Sprintf("192.0.2.%d", 200+i),
			NodeSelectors: zone(rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(t, "zone of peer")),
		}}
		out.peers = append(out.peers, p)
	}
	for _, name := range []string{"a1", "a2", "a3"}[:rapid.IntRange(0, 3).Draw(t, "advertisements")] {
		a := v1beta1.BGPAdvertisement{ObjectMeta: meta(name)}
		a.Spec.NodeSelectors = zone(rapid.SampledFrom([]string{"", "", "a"}).Draw(t, "zone of advertisement"))
		a.Spec.Peers = rapid.SampledFrom([][]string{nil, {"p1"}, {"p2"}}).Draw(t, "to")
		if rapid.Bool().Draw(t, "aggregate") {
			length := int32(30)
			a.Spec.AggregationLength = &length
		}
		a.Spec.Communities = rapid.SampledFrom([][]string{nil, {"64512:1"}, {"64512:2", "large:64512:1:1"}}).Draw(t, "communities")
		a.Spec.WeightByEndpoints = rapid.Bool().Draw(t, "weighted")
		a.Spec.MinReadyEndpoints = int32(rapid.IntRange(1, 2).Draw(t, "least"))
		out.ads = append(out.ads, a)
	}
	pools := []v1beta1.IPAddressPool{{ObjectMeta: meta("pool"), Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/28", "2001:db8::/120"}}}}
	out.Snapshot, _ = config.Build(config.Objects{Pools: pools, BGPPeers: out.peers, BGPAdvertisements: out.ads})
	return out
}

// model computes all routes of a node from everything that there is.
func model(s *config.Snapshot, nodes []Node, self string, duty Duty, services map[Key]*Service) map[netip.Prefix]map[string]string {
	out := map[netip.Prefix]map[string]string{}
	own := byName(nodes, self)
	carries := func(n *Node, ad *config.BGPAdvertisement, svc *Service) bool {
		total := 0
		for _, on := range svc.Endpoints {
			if !svc.Local || on == n.Name {
				total++
			}
		}
		return !n.NetworkUnavailable && ad.SelectsNode(n.Labels) && total >= ad.MinReadyEndpoints
	}
	for _, peer := range s.Peers() {
		if duty == Off || own == nil || !peer.SelectsNode(own.Labels) {
			continue
		}
		found := map[netip.Prefix]*Attributes{}
		for _, k := range slices.SortedFunc(maps.Keys(services), Key.Compare) {
			svc := services[k]
			weighed := map[netip.Prefix]bool{}
			for _, addr := range svc.Addresses {
				pool := s.PoolOf(addr)
				if pool == nil {
					continue
				}
				for _, ad := range s.BGPFor(pool, svc.Labels) {
					heir := slices.ContainsFunc(nodes, func(n Node) bool { return n.Name != self && n.healthy() && !n.Excluded && carries(&n, ad, svc) })
					if !carries(own, ad, svc) || !ad.SelectsPeer(peer.Name) || duty == Relieved && heir || !peer.Carries(config.FamilyOf(addr)) {
						continue
					}
					prefix := ad.Prefix(pool, addr)
					a := found[prefix]
					if a == nil {
						a = &Attributes{GracefulShutdown: duty == Leaving || duty == Relieved}
						found[prefix] = a
					}
					a.Communities = append(a.Communities, ad.Communities...)
					a.LargeCommunities = append(a.LargeCommunities, ad.LargeCommunities...)
					if ad.WeightByEndpoints && svc.Local && !weighed[prefix] {
						weighed[prefix] = true
						for _, on := range svc.Endpoints {
							if on == self {
								a.Bandwidth += bandwidthOfEndpoint
							}
						}
					}
				}
			}
		}
		for p, a := range found {
			slices.Sort(a.Communities)
			a.Communities = slices.Compact(a.Communities)
			slices.SortFunc(a.LargeCommunities, config.LargeCommunity.Compare)
			a.LargeCommunities = slices.Compact(a.LargeCommunities)
			if out[p] == nil {
				out[p] = map[string]string{}
			}
			out[p][peer.Name] = a.key()
		}
	}
	return out
}

// TestRoutes has Services, nodes, duties and the configuration change at random: the incremental table is what all that there is comes
// to, and only what has changed is returned.
func TestRoutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"n1", "n2"}
		r := NewRoutes("n1")
		conf, duty := drawRouted(t), Serving
		nodes := []Node{{Name: "n1", Labels: map[string]string{"zone": "a"}, Ready: true, Presence: Alive}, {Name: "n2", Labels: map[string]string{"zone": "a"}, Ready: true, Presence: Alive}}
		services := map[Key]*Service{}
		is := map[netip.Prefix]map[string]string{}
		configure := func() {
			if !r.Configure(conf.Snapshot, nodes, duty) {
				return
			}
			for k, svc := range services {
				r.Set(k, svc)
			}
		}
		configure()
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				for _, route := range r.Changed() {
					now := said(route)
					if maps.Equal(now, is[route.Prefix]) {
						t.Fatalf("%s has not changed: %v", route.Prefix, now)
					}
					if is[route.Prefix] = now; len(now) == 0 {
						delete(is, route.Prefix)
					}
				}
				if diff := cmp.Diff(model(conf.Snapshot, nodes, "n1", duty, services), is, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
					t.Fatalf("from scratch, incremental:\n%s", diff)
				}
				if r.Len() != len(is) {
					t.Fatalf("%d routes are counted of %d", r.Len(), len(is))
				}
				if again := r.Changed(); len(again) > 0 {
					t.Fatalf("returned again: %v", again)
				}
			},
			"service": func(t *rapid.T) {
				k := Key{"ns", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "service")}
				if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
					delete(services, k)
					r.Set(k, nil)
					return
				}
				svc := &Service{Key: k, Local: rapid.Bool().Draw(t, "local")}
				for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.9", "2001:db8::1", "203.0.113.1"} {
					if rapid.IntRange(0, 2).Draw(t, a) == 0 {
						svc.Addresses = append(svc.Addresses, netip.MustParseAddr(a))
					}
				}
				for _, n := range append([]string{""}, names...) {
					svc.Endpoints = append(svc.Endpoints, slices.Repeat([]string{n}, rapid.IntRange(0, 2).Draw(t, "endpoints"))...)
				}
				services[k] = svc
				r.Set(k, svc)
			},
			"configuration": func(t *rapid.T) {
				conf = drawRouted(t)
				configure()
			},
			"nodes": func(t *rapid.T) {
				nodes = slices.Clone(nodes)
				i := rapid.IntRange(0, 1).Draw(t, "node")
				n := Node{Name: names[i], Ready: rapid.Bool().Draw(t, "ready"), Presence: rapid.SampledFrom([]Presence{Alive, Alive, Gone}).Draw(t, "presence")}
				n.Labels = map[string]string{"zone": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone")}
				n.NetworkUnavailable = rapid.IntRange(0, 5).Draw(t, "without network") == 0
				nodes[i] = n
				configure()
			},
			"duty": func(t *rapid.T) {
				duty = rapid.SampledFrom([]Duty{Serving, Leaving, Relieved, Off}).Draw(t, "duty")
				configure()
			},
		})
	})
}

// TestRoutesJoin: of attributes that there can be only one of, the first advertisement by name decides; the rest adds up.
func TestRoutesJoin(t *testing.T) {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	low, high, med := int64(10), int64(20), int64(5)
	s, problems := config.Build(config.Objects{
		Pools:    []v1beta1.IPAddressPool{{ObjectMeta: meta("pool"), Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/28"}}}},
		BGPPeers: []v1beta1.BGPPeer{{ObjectMeta: meta("p"), Spec: v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64512, PeerAddress: "192.0.2.200"}}},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{
			{ObjectMeta: meta("a"), Spec: v1beta1.BGPAdvertisementSpec{LocalPref: &low, Communities: []string{"1:1"}}},
			{ObjectMeta: meta("b"), Spec: v1beta1.BGPAdvertisementSpec{LocalPref: &high, MED: &med, ASPathPrepend: 2, Communities: []string{"no-export"}}},
		},
	})
	r := NewRoutes("n")
	r.Configure(s, []Node{{Name: "n"}}, Serving)
	r.Set(Key{"ns", "web"}, &Service{Key: Key{"ns", "web"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Endpoints: []string{""}})
	changed := r.Changed()
	if len(changed) != 1 || len(changed[0].Peers) != 1 {
		t.Fatalf("routes: %v; problems: %v", changed, problems)
	}
	got := changed[0].Peers[0].Attributes
	if !got.HasLocalPref || got.LocalPref != 10 || len(got.Communities) < 1 || !slices.IsSorted(got.Communities) {
		t.Errorf("got %+v; problems: %v", got, problems)
	}
}

// ExampleRoutes prints what a node announces when a Service comes.
func ExampleRoutes() {
	s, _ := config.Build(config.Objects{
		Pools:             []v1beta1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "pool"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}}},
		BGPPeers:          []v1beta1.BGPPeer{{ObjectMeta: metav1.ObjectMeta{Name: "router"}, Spec: v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "198.51.100.1"}}},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"64512:100"}}}},
	})
	r := NewRoutes("node-1")
	r.Configure(s, []Node{{Name: "node-1"}}, Serving)
	web := Key{"default", "web"}
	r.Set(web, &Service{Key: web, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Endpoints: []string{"node-1", "node-1"}})
	for _, route := range r.Changed() {
		fmt.Println(route.Prefix, route.Peers[0].Peer, route.Peers[0].Attributes.Communities)
	}
	// Output: 192.0.2.7/32 router [64512:100]
}

// BenchmarkRoutes changes the endpoints of one Service among many.
func BenchmarkRoutes(b *testing.B) {
	s, _ := config.Build(config.Objects{
		Pools:             []v1beta1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "pool"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/16"}}}},
		BGPPeers:          []v1beta1.BGPPeer{{ObjectMeta: metav1.ObjectMeta{Name: "router"}, Spec: v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "198.51.100.1"}}},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{{ObjectMeta: metav1.ObjectMeta{Name: "all"}}},
	})
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint("services=", n), func(b *testing.B) {
			r := NewRoutes("node-1")
			r.Configure(s, []Node{{Name: "node-1"}}, Serving)
			service := func(i, endpoints int) *Service {
				return &Service{
					Key: Key{"ns", fmt.Sprint(i)}, Local: true, Endpoints: slices.Repeat([]string{"node-1"}, endpoints),
					Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})},
				}
			}
			for i := range n {
				r.Set(Key{"ns", fmt.Sprint(i)}, service(i, 1))
			}
			r.Changed()
			with, without := service(n/2, 1), service(n/2, 0)
			for b.Loop() {
				r.Set(with.Key, without)
				r.Changed()
				r.Set(with.Key, with)
				r.Changed()
			}
		})
	}
}
