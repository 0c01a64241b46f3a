package announce

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

var vip = netip.MustParseAddr("192.0.2.7")

func recorded(nodes ...string) func(*Service) {
	return func(s *Service) { s.Record = map[netip.Addr][]string{vip: nodes} }
}

func in(p Presence) func(*Node) { return func(n *Node) { n.Presence = p } }

func TestRecord(t *testing.T) {
	retiring := func(n *Node) { n.Retiring = true }
	impaired := func(n *Node) { n.Impaired = true }
	unready := func(n *Node) { n.Ready = false }
	stopping := func(n *Node) { n.SpeakerReady = false }
	excluded := func(n *Node) { n.Excluded = true }
	far := func(n *Node) { n.Links = []Link{{Name: "eth9", DefaultRoutes: []config.Family{config.IPv4}}} }
	preferC := v1beta1.L2AdvertisementSpec{PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{{Weight: 1, Preference: labelled("name", "c")[0]}}}
	three := func(edit map[string][]func(*Node)) []Node {
		var out []Node
		for _, n := range []string{"a", "b", "c"} {
			out = append(out, node(n, append([]func(*Node){in(Alive)}, edit[n]...)...))
		}
		return out
	}
	type edits = map[string][]func(*Node)
	cases := map[string]struct {
		reason        string
		ad            v1beta1.L2AdvertisementSpec
		nodes         []Node
		record        []string
		node, standin string
	}{
		"Followed":     {reason: "what is recorded is done", nodes: three(nil), record: []string{"b", "c"}, node: "b"},
		"Returned":     {reason: "a node that returns takes nothing back", nodes: three(nil), record: []string{"c", "b"}, node: "c"},
		"Next":         {reason: "the next one follows a node that is gone", nodes: three(edits{"b": {in(Gone)}}), record: []string{"b", "c"}, node: "c"},
		"GoneAtOnce":   {reason: "whatever the API server still says of it", nodes: three(edits{"b": {in(Gone), unready}}), record: []string{"b", "a"}, node: "a"},
		"BothGone":     {reason: "then whoever is left", nodes: three(edits{"b": {in(Gone)}, "c": {in(Gone)}}), record: []string{"b", "c"}, node: "a"},
		"AllGone":      {reason: "if all are, nothing moves", nodes: three(edits{"a": {in(Gone)}, "b": {in(Gone)}, "c": {in(Gone)}}), record: []string{"b", "c"}, node: "b"},
		"Away":         {reason: "who is restarted keeps its addresses, and the next one answers", nodes: three(edits{"b": {in(Away)}}), record: []string{"b", "c"}, node: "b", standin: "c"},
		"AwayUnready":  {reason: "readiness of its pod says no more than that", nodes: three(edits{"b": {in(Away), stopping}}), record: []string{"b", "a"}, node: "b", standin: "a"},
		"AwayGains":    {reason: "but it gains none", nodes: three(edits{"a": {in(Away)}, "b": {in(Gone)}, "c": {in(Away)}}), record: []string{"b", "c"}, node: "b"},
		"Alone":        {reason: "who alone is left stands in for nobody", nodes: three(edits{"b": {in(Away)}, "a": {in(Gone)}, "c": {in(Gone)}}), record: []string{"b"}, node: "b"},
		"Unready":      {reason: "a node that is not ready hands over", nodes: three(edits{"b": {unready}}), record: []string{"b", "c"}, node: "c"},
		"Retiring":     {reason: "so does one that is out of service", nodes: three(edits{"b": {retiring}}), record: []string{"b", "c"}, node: "c"},
		"Impaired":     {reason: "and one that says it cannot", nodes: three(edits{"b": {impaired}}), record: []string{"b", "c"}, node: "c"},
		"Excluded":     {reason: "and one that is excluded", nodes: three(edits{"b": {excluded}}), record: []string{"b", "c"}, node: "c"},
		"AllUnready":   {reason: "an outage of the control plane moves nothing", nodes: three(edits{"a": {unready}, "b": {unready}, "c": {unready}}), record: []string{"b", "c"}, node: "b"},
		"Preferred":    {reason: "a preferred node takes over", ad: preferC, nodes: three(nil), record: []string{"b", "a"}, node: "c"},
		"Far":          {reason: "who has lost the interface on the address's segment hands over, default route or not", nodes: three(edits{"b": {far}}), record: []string{"b", "c"}, node: "c"},
		"FarAtFirst":   {reason: "nor does one gain it by its default route", nodes: three(edits{"a": {far}, "b": {far}}), node: "c"},
		"FarForeign":   {reason: "where nobody is on the segment all are alike", nodes: three(edits{"a": {far}, "b": {far}, "c": {far}}), record: []string{"b"}, node: "b"},
		"FarSound":     {reason: "not even when it does better otherwise", nodes: three(edits{"a": {far}, "b": {unready}, "c": {far}}), record: []string{"b"}, node: "b"},
		"FarPreferred": {reason: "or is preferred", ad: preferC, nodes: three(edits{"c": {far}}), record: []string{"b"}, node: "b"},
		"FarLast":      {reason: "but when the others are lost", nodes: three(edits{"a": {in(Gone)}, "b": {in(Gone)}, "c": {far}}), record: []string{"b"}, node: "c"},
		"Unknown":      {reason: "a node that is not known is passed over", nodes: three(nil), record: []string{"x", "b"}, node: "b"},
		"NoGossip": {
			reason: "while the speakers do not talk to each other, the API server's word counts", record: []string{"b", "c"}, node: "c",
			nodes: three(edits{"a": {in(Unknown)}, "b": {in(Unknown), stopping}, "c": {in(Unknown)}}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Decide(snapshot(ad(tc.ad)), View{Nodes: tc.nodes, Services: []Service{service(recorded(tc.record...))}}).Announcements[0]
			if got.Node != tc.node || got.Standin != tc.standin {
				t.Errorf("%s: by %q, with standin %q, want %q and %q", tc.reason, got.Node, got.Standin, tc.node, tc.standin)
			}
		})
	}
}

func TestInUse(t *testing.T) {
	used := func(s *Service) { s.InUse = s.Addresses }
	mail := func(s *Service) { s.Name = "mail" }
	s := snapshot(ad(v1beta1.L2AdvertisementSpec{}))
	for _, tc := range []struct {
		services []Service
		want     bool
	}{{[]Service{service(), service(mail)}, true}, {[]Service{service(mail), service(used)}, false}} {
		for _, a := range Decide(s, View{Nodes: []Node{node("a")}, Services: tc.services}).Announcements {
			if a.Fresh != tc.want {
				t.Errorf("%s: fresh %t, want %t", a.Service, a.Fresh, tc.want)
			}
		}
	}
}

// A cluster is what the leading controller and the speakers do together, without the API between them.
type cluster struct {
	nodes  []Node
	record map[netip.Addr][]string
}

func (c *cluster) First(node string) (n int) {
	for _, r := range c.record {
		if r[0] == node {
			n++
		}
	}
	return n
}

func (c *cluster) Next(first, node string) (n int) {
	for _, r := range c.record {
		if r[0] == first && len(r) > 1 && r[1] == node {
			n++
		}
	}
	return n
}

func (c *cluster) service(a netip.Addr) *Service {
	return &Service{Key: Key{"ns", a.String()}, Addresses: []netip.Addr{a}, Endpoints: []string{""}, Record: c.record}
}

// announcers returns who announces each address, and records what has changed as the announcer does.
func (c *cluster) announcers(t *rapid.T) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	s := snapshot(ad(v1beta1.L2AdvertisementSpec{}))
	for a, r := range c.record {
		got := At(s, c.nodes, a, []*Service{c.service(a)})
		if len(got) != 1 || got[0].Node == "" {
			t.Fatalf("%s: %+v", a, got)
		}
		if out[a] = got[0].Node; r[0] != got[0].Node {
			c.record[a] = []string{got[0].Node, got[0].Next}
		}
	}
	return out
}

// TestHistory lets addresses and nodes come and go: nothing moves but what a node held that
// is gone, and new addresses go to who has least.
func TestHistory(t *testing.T) {
	s := snapshot(ad(v1beta1.L2AdvertisementSpec{}))
	rapid.Check(t, func(t *rapid.T) {
		c := &cluster{record: map[netip.Addr][]string{}}
		for i := range rapid.IntRange(2, 6).Draw(t, "nodes") {
			c.nodes = append(c.nodes, node(fmt.Sprint(i), in(Alive)))
		}
		was := c.announcers(t)
		for next := range rapid.IntRange(1, 60).Draw(t, "steps") {
			lost := ""
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				n := &c.nodes[rapid.IntRange(0, len(c.nodes)-1).Draw(t, "node")]
				alive := slices.IndexFunc(c.nodes, func(o Node) bool { return o.Name != n.Name && o.Presence == Alive }) >= 0
				if n.Presence = Presence(rapid.IntRange(int(Alive), int(Gone)).Draw(t, "presence")); n.Presence == Gone && alive {
					lost = n.Name
				} else if n.Presence == Gone {
					n.Presence = Alive
				}
			case 1:
				for _, a := range slices.SortedFunc(maps.Keys(c.record), netip.Addr.Compare) {
					if rapid.Bool().Draw(t, "delete") {
						delete(c.record, a)
					}
				}
			default:
				a := netip.AddrFrom4([4]byte{10, 0, 0, byte(next)})
				to := Place(s, c.nodes, a, []*Service{c.service(a)}, c)
				if len(to) == 0 {
					continue
				}
				for _, n := range c.nodes {
					if n.Presence == Alive && c.First(n.Name) < c.First(to[0]) {
						t.Fatalf("%s is to announce %s, though %s has less", to[0], a, n.Name)
					}
				}
				c.record[a] = to
			}
			now := c.announcers(t)
			for a, before := range was {
				if after, still := now[a]; still && after != before && before != lost {
					t.Fatalf("%s moved from %s to %s, and lost was %q", a, before, after, lost)
				}
			}
			was = now
		}
	})
}

// A thousand addresses are balanced to one, and so is what follows from the loss of a node.
func TestBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := snapshot(ad(v1beta1.L2AdvertisementSpec{}))
		c := &cluster{record: map[netip.Addr][]string{}}
		n := rapid.IntRange(3, 7).Draw(t, "nodes")
		for i := range n {
			c.nodes = append(c.nodes, node(fmt.Sprint(i), in(Alive)))
		}
		for i := range n * (n - 1) * 10 {
			a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			c.record[a] = Place(s, c.nodes, a, []*Service{c.service(a)}, c)
		}
		even := func(left, want int) {
			count := map[string]int{}
			for _, by := range c.announcers(t) {
				count[by]++
			}
			for _, n := range c.nodes[n-left:] {
				if count[n.Name] != want {
					t.Fatalf("%v, want %d each", count, want)
				}
			}
		}
		even(n, (n-1)*10)
		c.nodes[0].Presence = Gone
		even(n-1, n*10)
	})
}
