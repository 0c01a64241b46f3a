package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func TestCommunities(t *testing.T) {
	aliases := func(name string, age time.Duration, of ...string) v1beta1.Community {
		c := v1beta1.Community{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(birth.Add(-age))}}
		for i := 0; i < len(of); i += 2 {
			c.Spec.Communities = append(c.Spec.Communities, v1beta1.CommunityAlias{Name: of[i], Value: of[i+1]})
		}
		return c
	}
	type want struct {
		Standard, Large []string
		Says            []Problem
	}
	ad := func(reason Reason, message string) Problem {
		return Problem{Ref{BGPAdvertisementKind, "ad"}, reason, message}
	}
	cases := map[string]struct {
		reason  string
		defined []v1beta1.Community
		names   []string
		want    want
	}{
		"Numbers": {
			"in order, each once", nil, []string{"65000:2", "65000:1", "large:4294967295:0:1", "65000:2"},
			want{[]string{"65000:1", "65000:2"}, []string{"large:4294967295:0:1"}, nil},
		},
		"WellKnown": {
			"names of RFCs", nil, []string{"no-export", "no-advertise", "blackhole", "graceful-shutdown"},
			want{[]string{"65535:0", "65535:666", "65535:65281", "65535:65282"}, nil, nil},
		},
		"Aliases": {
			"of both sorts", []v1beta1.Community{aliases("c", 0, "here", "64512:7", "there", "large:1:2:3")}, []string{"there", "here"},
			want{[]string{"64512:7"}, []string{"large:1:2:3"}, nil},
		},
		"Undefined": {
			"an alias that nobody defines", nil, []string{"here"},
			want{nil, nil, []Problem{ad(CommunityNotFound, `communities: no Community defines "here", and it is not a well-known name`)}},
		},
		"TooLarge": {
			"sixteen bits each", nil, []string{"65536:1"},
			want{nil, nil, []Problem{ad(InvalidCommunity, `communities: "65536:1" is not a community such as 65000:1 or large:65000:1:2: "65536" is not a number of 16 bits`)}},
		},
		"Twice": {
			"the older Community defines", []v1beta1.Community{aliases("a", 0, "x", "1:1", "y", "1:3"), aliases("b", time.Hour, "x", "1:2")}, []string{"x", "y"},
			want{[]string{"1:2", "1:3"}, nil, []Problem{
				{Ref{CommunityKind, "a"}, DuplicateAlias, "alias x is defined by Community b, which is older; the rest is active"}}},
		},
		"Taken": {
			"a well-known name is not for others", []v1beta1.Community{aliases("a", 0, "no-export", "1:1")}, []string{"no-export"},
			want{[]string{"65535:65281"}, nil, []Problem{
				{Ref{CommunityKind, "a"}, InvalidCommunity, `alias "no-export": the name is that of a well-known community, or cannot be one`}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, problems := Build(Objects{Pools: []v1beta1.IPAddressPool{pool("p", 0, "192.0.2.0/24")}, Communities: tc.defined,
				BGPAdvertisements: []v1beta1.BGPAdvertisement{{ObjectMeta: metav1.ObjectMeta{Name: "ad"}, Spec: v1beta1.BGPAdvertisementSpec{Communities: tc.names}}}})
			got := want{Says: problems}
			for _, a := range s.BGPFor(s.Pool("p"), nil) {
				for _, c := range a.Communities {
					got.Standard = append(got.Standard, c.String())
				}
				for _, c := range a.LargeCommunities {
					got.Large = append(got.Large, c.String())
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func ad(name string, age time.Duration, spec v1beta1.BGPAdvertisementSpec) v1beta1.BGPAdvertisement {
	return v1beta1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(birth.Add(-age))}, Spec: spec}
}

func TestBGPAdvertisements(t *testing.T) {
	type spec = v1beta1.BGPAdvertisementSpec
	prefer := func(n int64, change func(*spec)) spec {
		s := spec{LocalPref: &n}
		if change != nil {
			change(&s)
		}
		return s
	}
	differs := func(tail string) []Problem {
		return []Problem{{Ref{BGPAdvertisementKind, "b"}, AttributeConflict,
			"localPref: 200, but BGPAdvertisement a, which is older, has 100 for the same routes" + tail}}
	}
	accepted := func(a v1beta1.BGPAdvertisement, was spec) v1beta1.BGPAdvertisement {
		a.Status.AcceptedSpec = &was
		return a
	}
	const both = "; both are active, and for such routes the first by name decides"
	former := func(reason Reason, message string) []Problem {
		return []Problem{{Ref{BGPAdvertisementKind, "b"}, reason, message + "; until that is corrected, what was last accepted (status.acceptedSpec) stays active"}}
	}
	fault := func(reason Reason, message string) []Problem {
		return []Problem{{Ref{BGPAdvertisementKind, "b"}, reason, message}}
	}
	a := ad("a", time.Hour, prefer(100, nil))
	cases := map[string]struct {
		reason string
		ads    []v1beta1.BGPAdvertisement
		// want are those active for pool p and a Service without labels.
		want []string
		says []Problem
	}{
		"Conflict": {"all peers, all nodes, all pools", []v1beta1.BGPAdvertisement{ad("b", 0, prefer(200, nil)), a}, []string{"a", "b"}, differs(both)},
		"Unsaid":   {"who says nothing contradicts nobody", []v1beta1.BGPAdvertisement{ad("b", 0, spec{}), a}, []string{"a", "b"}, nil},
		"Lengths": {"other prefixes", []v1beta1.BGPAdvertisement{
			ad("b", 0, prefer(200, func(s *spec) { s.AggregationLength, s.AggregationLengthV6 = new(int32(28)), new(int32(64)) })), a}, []string{"a", "b"}, nil},
		"Peers": {"other peers", []v1beta1.BGPAdvertisement{
			ad("b", 0, prefer(200, func(s *spec) { s.Peers = []string{"r1"} })), ad("a", time.Hour, prefer(100, func(s *spec) { s.Peers = []string{"r2"} }))},
			[]string{"a", "b"}, nil},
		"OnePeer": {"a peer in common", []v1beta1.BGPAdvertisement{
			ad("b", 0, prefer(200, func(s *spec) { s.Peers = []string{"r1", "r2"} })), ad("a", time.Hour, prefer(100, func(s *spec) { s.Peers = []string{"r2"} }))},
			[]string{"a", "b"}, differs(both)},
		"Nodes": {"other nodes", []v1beta1.BGPAdvertisement{
			ad("b", 0, prefer(200, func(s *spec) { s.NodeSelectors = expression("rack", "In", "1") })),
			ad("a", time.Hour, prefer(100, func(s *spec) { s.NodeSelectors = expression("rack", "NotIn", "1") }))}, []string{"a", "b"}, nil},
		"Services": {"other Services", []v1beta1.BGPAdvertisement{
			ad("b", 0, prefer(200, func(s *spec) { s.ServiceSelectors = expression("tier", "Exists") })),
			ad("a", time.Hour, prefer(100, func(s *spec) { s.ServiceSelectors = expression("tier", "DoesNotExist") }))}, []string{"a"}, nil},
		"Pools": {"other pools", []v1beta1.BGPAdvertisement{
			ad("b", 0, prefer(200, func(s *spec) { s.IPAddressPools = []string{"q"} })),
			ad("a", time.Hour, prefer(100, func(s *spec) { s.IPAddressPools = []string{"p"} }))}, []string{"a"}, nil},
		"Edited": {"one that is edited so stays as it was",
			[]v1beta1.BGPAdvertisement{a, accepted(ad("b", 0, prefer(200, nil)), prefer(100, nil))}, []string{"a", "b"},
			former(AttributeConflict, "localPref: 200, but BGPAdvertisement a, which is older, has 100 for the same routes")},
		"OlderEdited": {"one that another is made to contradict announces all the same",
			[]v1beta1.BGPAdvertisement{a, accepted(ad("b", 0, prefer(200, nil)), prefer(200, nil))}, []string{"a", "b"}, differs(both)},
		"AliasGone": {"a route is not announced without a community that it had", []v1beta1.BGPAdvertisement{
			accepted(ad("b", 0, spec{Communities: []string{"here"}}), spec{Communities: []string{"1:1"}})}, []string{"b"},
			former(CommunityNotFound, `communities: no Community defines "here", and it is not a well-known name`)},
		"Unreadable": {"one that never was accepted is not active", []v1beta1.BGPAdvertisement{
			ad("b", 0, spec{NodeSelectors: expression("a", "in", "b")})}, nil,
			fault(InvalidSelector, `nodeSelectors[0]: "in" is not a valid label selector operator`)},
		"NoPeer": {"the other peers are announced to", []v1beta1.BGPAdvertisement{ad("b", 0, spec{Peers: []string{"r3", "r1"}})}, []string{"b"},
			fault(PeerNotFound, "no BGPPeer that is active is called r3; the rest is active")},
		"NoPool": {"the other pools are announced", []v1beta1.BGPAdvertisement{ad("b", 0, spec{IPAddressPools: []string{"x", "p"}})}, []string{"b"},
			fault(PoolNotFound, "no pool is called x; the rest is active")},
		"TooWide": {"a prefix that no pool has in it", []v1beta1.BGPAdvertisement{
			ad("b", 0, spec{IPAddressPools: []string{"p"}, AggregationLength: new(int32(23))})}, []string{"b"},
			fault(InvalidAggregation, "no IPv4 prefix of length 23 is within pool p: its addresses are announced by longer ones")},
		"ServicesInAggregate": {"an aggregate is for all of them", []v1beta1.BGPAdvertisement{
			ad("b", 0, spec{AggregationLength: new(int32(24)), ServiceSelectors: expression("tier", "Exists")})}, nil,
			fault(InvalidAggregation, "serviceSelectors cannot be used with aggregationLength or aggregationLengthV6: an aggregate is for all Services in it")},
		"OutOfRange": {"what the API server refuses too", []v1beta1.BGPAdvertisement{ad("b", 0, spec{MED: new(int64(1 << 32)), ASPathPrepend: 17})}, nil,
			append(fault(InvalidAttribute, "asPathPrepend: 17 is not between 0 and 16"), fault(InvalidAttribute, "med: 4294967296 is not between 0 and 4294967295")...)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, problems := Build(Objects{
				Pools:    []v1beta1.IPAddressPool{pool("p", 0, "192.0.2.0/24", "2001:db8::/64"), pool("q", 0, "198.51.100.16-198.51.100.40")},
				BGPPeers: []v1beta1.BGPPeer{peer("r1", 0, nil), peer("r2", 0, func(s *v1beta1.BGPPeerSpec) { s.PeerAddress = "192.0.2.2" })}, BGPAdvertisements: tc.ads,
			})
			var got []string
			for _, a := range s.BGPFor(s.Pool("p"), nil) {
				got = append(got, a.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.says, problems); diff != "" {
				t.Errorf("%s: problems: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestPrefix: an aggregate has no address that is not of the pool, and is as large as may be.
func TestPrefix(t *testing.T) {
	excluding := pool("p", 0, "192.0.2.0/24")
	excluding.Spec.Exclude = []string{"192.0.2.1"}
	for name, tc := range map[string]struct {
		pool     v1beta1.IPAddressPool
		length   int32
		at, want string
	}{
		"Host":         {pool("p", 0, "192.0.2.0/24"), 32, "192.0.2.7", "192.0.2.7/32"},
		"Aggregate":    {pool("p", 0, "192.0.2.0/24"), 26, "192.0.2.70", "192.0.2.64/26"},
		"Shorter":      {pool("p", 0, "192.0.2.0/24"), 16, "192.0.2.70", "192.0.2.0/24"},
		"RangeStart":   {pool("p", 0, "10.0.0.10-10.0.0.50"), 28, "10.0.0.12", "10.0.0.12/30"},
		"RangeMiddle":  {pool("p", 0, "10.0.0.10-10.0.0.50"), 28, "10.0.0.20", "10.0.0.16/28"},
		"RangeEnd":     {pool("p", 0, "10.0.0.10-10.0.0.50"), 28, "10.0.0.50", "10.0.0.50/32"},
		"BesideRouter": {excluding, 24, "192.0.2.0", "192.0.2.0/32"},
		"BehindRouter": {excluding, 24, "192.0.2.200", "192.0.2.128/25"},
		"Neighbours":   {pool("p", 0, "192.0.2.0/25", "192.0.2.128/25"), 24, "192.0.2.200", "192.0.2.0/24"},
	} {
		s, _ := Build(Objects{Pools: []v1beta1.IPAddressPool{tc.pool},
			BGPAdvertisements: []v1beta1.BGPAdvertisement{ad("b", 0, v1beta1.BGPAdvertisementSpec{AggregationLength: &tc.length})}})
		got := s.BGPFor(s.Pool("p"), nil)[0].Prefix(s.Pool("p"), netip.MustParseAddr(tc.at))
		if got != netip.MustParsePrefix(tc.want) {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// TestFits compares with trying every prefix.
func TestFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, n, length := rapid.Uint8().Draw(t, "from"), rapid.Uint8().Draw(t, "n"), rapid.IntRange(24, 32).Draw(t, "length")
		last := min(int(from)+int(n), 255)
		want := false
		for i := 0; i < 256; i += 1 << (32 - length) {
			want = want || i >= int(from) && i+1<<(32-length)-1 <= last
		}
		r, err := ParseRange(netip.AddrFrom4([4]byte{192, 0, 2, from}).String() + "-" + netip.AddrFrom4([4]byte{192, 0, 2, byte(last)}).String())
		if err != nil {
			t.Fatal(err)
		}
		if got := fits(r, length); got != want {
			t.Errorf("a prefix of length %d is within %s: %t, want %t", length, r, got, want)
		}
	})
}

// TestDisjoint compares with trying every set of labels.
func TestDisjoint(t *testing.T) {
	var worlds []map[string]string
	values := []string{"", "1", "2", "3"} // "" is absent
	for _, a := range values {
		for _, b := range values {
			l := map[string]string{}
			for k, v := range map[string]string{"a": a, "b": b} {
				if v != "" {
					l[k] = v
				}
			}
			worlds = append(worlds, l)
		}
	}
	requirement := rapid.Custom(func(t *rapid.T) v1beta1.LabelSelectorRequirement {
		r := v1beta1.LabelSelectorRequirement{
			Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), Operator: rapid.SampledFrom([]string{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator"),
		}
		if r.Operator == "In" || r.Operator == "NotIn" {
			r.Values = rapid.SliceOfNDistinct(rapid.SampledFrom(values[1:]), 1, 2, rapid.ID[string]).Draw(t, "values")
		}
		return r
	})
	list := rapid.Custom(func(t *rapid.T) selectors {
		n := rapid.IntRange(0, 2).Draw(t, "selectors")
		var in []v1beta1.LabelSelector
		for range n {
			in = append(in, v1beta1.LabelSelector{MatchExpressions: rapid.SliceOfN(requirement, 1, 2).Draw(t, "requirements")})
		}
		out, err := parseSelectors("", in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	})
	certain := 0
	rapid.Check(t, func(t *rapid.T) {
		x, y := list.Draw(t, "x"), list.Draw(t, "y")
		if disjoint(x, y) != disjoint(y, x) {
			t.Fatal("it depends on the order")
		}
		if !disjoint(x, y) {
			return
		}
		certain++
		for _, l := range worlds {
			if x.admit(l) && y.admit(l) {
				t.Fatalf("%v matches both", l)
			}
		}
	})
	if certain == 0 {
		t.Error("nothing was ever found to be disjoint")
	}
}

// TestWellKnown: the custom resource definitions have the names of the well-known communities, of which no alias may have one.
func TestWellKnown(t *testing.T) {
	for _, file := range []string{"fairlead.io_communities.yaml", "fairlead.io_bgpadvertisements.yaml"} {
		crd, err := os.ReadFile(filepath.Join("..", "manifests", "crd", file))
		if err != nil {
			t.Fatal(err)
		}
		for name := range wellKnown {
			if !strings.Contains(string(crd), name) {
				t.Errorf("%s does not have %s", file, name)
			}
		}
	}
}
