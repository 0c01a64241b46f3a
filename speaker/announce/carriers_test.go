package announce

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCarriers: traffic comes in by who announces by layer 2, and by just those nodes whose tables of routes have the address.
func TestCarriers(t *testing.T) {
	a, names := netip.MustParseAddr("192.0.2.1"), []string{"n1", "n2", "n3"}
	rapid.Check(t, func(t *rapid.T) {
		conf := drawRouted(t)
		var nodes []Node
		for _, n := range names {
			nodes = append(nodes, Node{
				Name: n, Labels: map[string]string{"zone": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone")},
				NetworkUnavailable: rapid.IntRange(0, 5).Draw(t, "without network") == 0, Excluded: rapid.IntRange(0, 3).Draw(t, "excluded") == 0,
				Retiring: rapid.IntRange(0, 3).Draw(t, "retiring") == 0,
			})
		}
		var sharers []*Service
		for _, name := range []string{"a", "b"}[:rapid.IntRange(0, 2).Draw(t, "services")] {
			svc := &Service{Key: Key{"ns", name}, Addresses: []netip.Addr{a}, Local: rapid.Bool().Draw(t, "local")}
			for _, n := range names {
				svc.Endpoints = append(svc.Endpoints, slices.Repeat([]string{n}, rapid.IntRange(0, 2).Draw(t, "endpoints"))...)
			}
			sharers = append(sharers, svc)
		}
		of := At(conf.Snapshot, nodes, a, sharers)
		var want []string
		for i, n := range names {
			services := map[Key]*Service{}
			for j, svc := range sharers {
				services[svc.Key] = svc
				if rapid.IntRange(0, 3).Draw(t, "layer 2") == 0 {
					of[j].Node = n
				}
			}
			routed := len(model(conf.Snapshot, nodes, n, DutyOf(&nodes[i], false), services)) > 0 && DutyOf(&nodes[i], false) == Serving
			if routed {
				want = append(want, n)
			}
		}
		for _, x := range of {
			if x.Node != "" && !slices.Contains(want, x.Node) {
				want = append(want, x.Node)
			}
		}
		slices.Sort(want)
		if got := Carriers(conf.Snapshot, nodes, of, sharers); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestAfter(t *testing.T) {
	ring := []Holder{{Node: "b"}, {Node: "c"}, {Node: "a"}}
	for _, tc := range []struct {
		ring       []Holder
		self, next string
	}{{ring, "a", "b"}, {ring, "b", "c"}, {ring, "c", "a"}, {ring[:1], "b", ""}, {nil, "b", ""}} {
		if got, ok := After(tc.ring, tc.self); got.Node != tc.next || ok != (tc.next != "") {
			t.Errorf("after %s: %q, %t, want %q", tc.self, got.Node, ok, tc.next)
		}
	}
}
