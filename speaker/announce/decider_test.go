package announce

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// TestDecider: what a Decider remembers of one address is right for the next.
func TestDecider(t *testing.T) {
	subnets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25"), netip.MustParsePrefix("192.0.2.64/26"), netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("10.0.0.0/24")}
	addrs := []string{"192.0.2.7", "192.0.2.70", "192.0.2.200", "10.0.0.1", "10.0.9.1", "2001:db8::7", "203.0.113.1"}
	rapid.Check(t, func(t *rapid.T) {
		some := func(what string, of ...string) (out []string) {
			for _, x := range of {
				if rapid.Bool().Draw(t, what) {
					out = append(out, x)
				}
			}
			return out
		}
		var ads []v1beta1.L2Advertisement
		for range rapid.IntRange(1, 4).Draw(t, "ads") {
			spec := v1beta1.L2AdvertisementSpec{Interfaces: some("interfaces", "eth0", "eth1")}
			if rapid.Bool().Draw(t, "nodes") {
				spec.NodeSelectors = labelled("rack", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "rack"))
			}
			if rapid.Bool().Draw(t, "services") {
				spec.ServiceSelectors = labelled("tier", "gold")
			}
			if rapid.Bool().Draw(t, "preferred") {
				spec.PreferredNodeSelectors = []v1beta1.PreferredNodeSelector{{Weight: 5, Preference: labelled("rack", "a")[0]}}
			}
			ads = append(ads, ad(spec))
		}
		var nodes []Node
		for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
			nodes = append(nodes, node(fmt.Sprintf("node-%d", i), func(n *Node) {
				n.Labels["rack"] = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "rack")
				n.Presence = rapid.SampledFrom([]Presence{Unknown, Alive, Away, Gone}).Draw(t, "presence")
				n.Ready, n.Excluded = rapid.Bool().Draw(t, "ready"), rapid.IntRange(0, 5).Draw(t, "excluded") == 0
				n.Links = nil
				for _, name := range some("links", "eth0", "eth1") {
					l := Link{Name: name}
					for _, p := range subnets {
						if rapid.Bool().Draw(t, "subnet") {
							l.Subnets = append(l.Subnets, p)
						}
					}
					if rapid.Bool().Draw(t, "default") {
						l.DefaultRoutes = []config.Family{config.IPv4, config.IPv6}
					}
					n.Links = append(n.Links, l)
				}
			}))
		}
		s := snapshot(ads...)
		d := NewDecider(s, nodes, few+1)
		for range rapid.IntRange(2, 30).Draw(t, "addresses") {
			a := netip.MustParseAddr(rapid.SampledFrom(addrs).Draw(t, "address"))
			var sharers []*Service
			for i := range rapid.IntRange(1, 2).Draw(t, "sharers") {
				x := service(func(x *Service) {
					x.Name, x.Addresses = fmt.Sprint(i), []netip.Addr{a}
					x.Labels = map[string]string{"tier": rapid.SampledFrom([]string{"gold", "tin"}).Draw(t, "tier")}
					x.Record = map[netip.Addr][]string{a: rapid.SliceOfN(rapid.SampledFrom([]string{"node-0", "node-1", "node-2", "gone"}), 0, 3).Draw(t, "record")}
					if rapid.IntRange(0, 2).Draw(t, "local") == 0 {
						local(some("endpoints", "node-0", "node-2")...)(x)
					}
				})
				sharers = append(sharers, &x)
			}
			if got, want := d.At(a, sharers), At(s, nodes, a, sharers); !slices.EqualFunc(got, want, Announcement.Same) {
				t.Fatalf("%s among others: %+v\nby itself: %+v", a, got, want)
			}
		}
	})
}

// TestDeciderRouted is TestDecider for what becomes of addresses by BGP.
func TestDeciderRouted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		conf := drawRouted(t)
		names := []string{"node-0", "node-1", "node-2"}
		var nodes []Node
		for _, name := range names {
			nodes = append(nodes, node(name, func(n *Node) {
				n.Labels["zone"] = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone")
				n.Excluded, n.NetworkUnavailable = rapid.IntRange(0, 5).Draw(t, "excluded") == 0, rapid.IntRange(0, 5).Draw(t, "network") == 0
			}))
		}
		d := NewDecider(conf.Snapshot, nodes, few+1)
		for range rapid.IntRange(2, 20).Draw(t, "addresses") {
			a := netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.7", "2001:db8::7", "203.0.113.1"}).Draw(t, "address"))
			x := service(func(x *Service) {
				x.Addresses, x.Local = []netip.Addr{a}, rapid.Bool().Draw(t, "local")
				x.Endpoints = rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "endpoints")
				slices.Sort(x.Endpoints)
			})
			sharers := []*Service{&x}
			if got, want := d.At(a, sharers), At(conf.Snapshot, nodes, a, sharers); !slices.EqualFunc(got, want, Announcement.Same) {
				t.Fatalf("%s among others: %+v\nby itself: %+v", a, got, want)
			}
		}
	})
}
