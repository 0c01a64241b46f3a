package config

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func TestParseRange(t *testing.T) {
	cases := map[string]struct{ in, want, err string }{
		"CIDR":             {in: "192.0.2.0/24", want: "192.0.2.0-192.0.2.255"},
		"CIDR6":            {in: "2001:db8::/127", want: "2001:db8::-2001:db8::1"},
		"Range":            {in: "192.0.2.5-192.0.2.9", want: "192.0.2.5-192.0.2.9"},
		"Blanks":           {in: " 192.0.2.5 - 192.0.2.9 ", want: "192.0.2.5-192.0.2.9"},
		"Single":           {in: "192.0.2.5", want: "192.0.2.5-192.0.2.5"},
		"MappedIsIPv4":     {in: "::ffff:192.0.2.5-192.0.2.9", want: "192.0.2.5-192.0.2.9"},
		"HostBits":         {in: "192.0.2.5/24", err: `"192.0.2.5/24" has host bits set: write 192.0.2.0/24`},
		"MappedCIDR":       {in: "::ffff:192.0.2.0/120", err: `"::ffff:192.0.2.0/120" mixes IPv4 and IPv6`},
		"Backwards":        {in: "192.0.2.9-192.0.2.5", err: `"192.0.2.9-192.0.2.5" ends before it starts`},
		"Families":         {in: "192.0.2.9-2001:db8::1", err: `"192.0.2.9-2001:db8::1" mixes IPv4 and IPv6`},
		"Zone":             {in: "fe80::1%eth0", err: `"fe80::1%eth0" has a zone`},
		"TooLong":          {in: "192.0.2.0/33", err: `"192.0.2.0/33" is not a CIDR, a range first-last or an address`},
		"Empty":            {in: "", err: `"" is not a CIDR, a range first-last or an address`},
		"ThreeEnds":        {in: "192.0.2.1-192.0.2.2-192.0.2.3", err: `"192.0.2.1-192.0.2.2-192.0.2.3" is not a CIDR, a range first-last or an address`},
		"NotAnAddress":     {in: "router", err: `"router" is not a CIDR, a range first-last or an address`},
		"LeadingZeroOctet": {in: "192.0.02.1", err: `"192.0.02.1" is not a CIDR, a range first-last or an address`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r, err := ParseRange(tc.in)
			if got := errorText(err); got != tc.err {
				t.Fatalf("error %q, want %q", got, tc.err)
			}
			if err == nil && r.From().String()+"-"+r.To().String() != tc.want {
				t.Errorf("got %s, want %s", r, tc.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"192.0.2.0/24", "192.0.2.5-192.0.2.9", "2001:db8::/64", "fe80::1%eth0", "::ffff:192.0.2.1", "-", "/", "1-2-3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			return
		}
		if !r.IsValid() || r.From().Zone() != "" || r.From().Is4In6() {
			t.Fatalf("%q was read as %s", s, r)
		}
		if again, err := ParseRange(r.String()); err != nil || again != r {
			t.Fatalf("%q was read as %s, and that as %s (%v)", s, r, again, err)
		}
	})
}

var birth = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func pool(name string, age time.Duration, addresses ...string) v1beta1.IPAddressPool {
	return v1beta1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(birth.Add(-age))},
		Spec:       v1beta1.IPAddressPoolSpec{Addresses: addresses},
	}
}

func TestProblems(t *testing.T) {
	bad := []v1beta1.LabelSelector{{MatchExpressions: []v1beta1.LabelSelectorRequirement{{Key: "x", Operator: "Like"}}}}
	badPool := pool("p", 0, "192.0.2.0/24")
	badPool.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{ServiceSelectors: bad}
	empty := pool("p", 0, "192.0.2.0/24")
	empty.Spec.Exclude = []string{"192.0.2.0/24"}
	cases := map[string]struct {
		reason  string
		objects Objects
		want    []Problem
		// accepted are the pools that give addresses.
		accepted []string
	}{
		"Fine": {
			reason:   "pools side by side",
			objects:  Objects{Pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/25"), pool("b", 0, "192.0.2.128/25", "2001:db8::/64")}},
			accepted: []string{"a", "b"},
		},
		"YoungerIsRefused": {
			reason:  "the pool that came later is at fault, whatever its name",
			objects: Objects{Pools: []v1beta1.IPAddressPool{pool("a", time.Hour, "192.0.2.0/24"), pool("b", 2*time.Hour, "192.0.2.200-192.0.3.10")}},
			want: []Problem{{Ref{IPAddressPool, "a"}, Overlap,
				"192.0.2.200-192.0.2.255 also belongs to pool b, which is older; no addresses are assigned from this pool until they differ"}},
			accepted: []string{"b"},
		},
		"SameAgeByName": {
			reason:  "of two of one age the later name is at fault",
			objects: Objects{Pools: []v1beta1.IPAddressPool{pool("b", 0, "192.0.2.7"), pool("a", 0, "192.0.2.0/24")}},
			want: []Problem{{Ref{IPAddressPool, "b"}, Overlap,
				"192.0.2.7 also belongs to pool a, which is older; no addresses are assigned from this pool until they differ"}},
			accepted: []string{"a"},
		},
		"RefusedPoolRefusesNobody": {
			reason: "a pool that is refused has no addresses to overlap with",
			objects: Objects{Pools: []v1beta1.IPAddressPool{
				pool("a", 3*time.Hour, "192.0.2.0/25"), pool("b", 2*time.Hour, "192.0.2.0/24"), pool("c", time.Hour, "192.0.2.128/25")}},
			want: []Problem{{Ref{IPAddressPool, "b"}, Overlap,
				"192.0.2.0/25 also belongs to pool a, which is older; no addresses are assigned from this pool until they differ"}},
			accepted: []string{"a", "c"},
		},
		"AllEntriesAreTold": {
			reason:  "every entry that cannot be read is told at once",
			objects: Objects{Pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/24", "x", "10.0.0.1/8")}},
			want: []Problem{
				{Ref{IPAddressPool, "a"}, InvalidAddresses, `addresses: "10.0.0.1/8" has host bits set: write 10.0.0.0/8`},
				{Ref{IPAddressPool, "a"}, InvalidAddresses, `addresses: "x" is not a CIDR, a range first-last or an address`},
			},
		},
		"NothingLeft": {
			reason:  "a pool that excludes all of itself",
			objects: Objects{Pools: []v1beta1.IPAddressPool{empty}},
			want:    []Problem{{Ref{IPAddressPool, "p"}, NoAddresses, "nothing is left of the addresses after exclude and avoidBuggyIPs"}},
		},
		"BadSelector": {
			reason:  "a selector that cannot be read opens the pool to nobody, not to all",
			objects: Objects{Pools: []v1beta1.IPAddressPool{badPool}},
			want:    []Problem{{Ref{IPAddressPool, "p"}, InvalidSelector, `serviceAllocation.serviceSelectors[0]: "Like" is not a valid label selector operator`}},
		},
		"AdvertisementOfMissingPool": {
			reason: "a pool that is misspelt is told, the others are announced",
			objects: Objects{Pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/24")},
				L2Advertisements: []v1beta1.L2Advertisement{{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"b", "a"}}}}},
			want:     []Problem{{Ref{L2Advertisement, "l"}, PoolNotFound, "no pool is called b; the rest is active"}},
			accepted: []string{"a"},
		},
		"AdvertisementWithBadSelector": {
			reason:  "an advertisement that cannot be read announces nothing",
			objects: Objects{L2Advertisements: []v1beta1.L2Advertisement{{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: v1beta1.L2AdvertisementSpec{NodeSelectors: bad}}}},
			want:    []Problem{{Ref{L2Advertisement, "l"}, InvalidSelector, `nodeSelectors[0]: "Like" is not a valid label selector operator`}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, got := Build(tc.objects)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nproblems: -want, +got:\n%s", tc.reason, diff)
			}
			var accepted []string
			for _, p := range s.Pools() {
				if !p.Refused {
					accepted = append(accepted, p.Name)
				}
			}
			if diff := cmp.Diff(tc.accepted, accepted); diff != "" {
				t.Errorf("\n%s\naccepted: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPoolOf(t *testing.T) {
	excluding := pool("a", time.Hour, "192.0.2.0/24", "2001:db8::/64")
	excluding.Spec.Exclude = []string{"192.0.2.1", "192.0.2.64/26"}
	s, _ := Build(Objects{Pools: []v1beta1.IPAddressPool{excluding, pool("refused", 0, "192.0.2.250-192.0.3.9")}})
	for in, want := range map[string]string{
		"192.0.2.0": "a", "192.0.2.1": "", "192.0.2.2": "a", "192.0.2.63": "a", "192.0.2.64": "", "192.0.2.127": "", "192.0.2.128": "a",
		"192.0.2.255": "a", "192.0.3.0": "refused", "192.0.3.9": "refused", "192.0.3.10": "", "192.0.1.255": "",
		"2001:db8::": "a", "2001:db8::ffff:ffff:ffff:ffff": "a", "2001:db8:0:1::": "", "::1": "",
	} {
		got := ""
		if p := s.PoolOf(netip.MustParseAddr(in)); p != nil {
			got = p.Name
		}
		if got != want {
			t.Errorf("pool of %s: got %q, want %q", in, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for name, tc := range map[string]struct {
		addresses []string
		avoid     bool
		v4, v6    int64
	}{
		"Plain":    {[]string{"192.0.2.0/24", "2001:db8::/120"}, false, 256, 256},
		"Buggy":    {[]string{"192.0.2.0/23"}, true, 508, 0},
		"BuggyEnd": {[]string{"192.0.2.250-192.0.3.0"}, true, 5, 0},
		"BuggyAll": {[]string{"10.0.0.0/8"}, true, 1<<24 - 2<<16, 0},
		"Zero":     {[]string{"1.0.0.0-1.0.0.5"}, true, 5, 0},
		"Huge":     {[]string{"2001:db8::/32"}, false, 0, math.MaxInt64},
		"Just":     {[]string{"2001:db8::/65"}, false, 0, math.MaxInt64},
		"Fits":     {[]string{"2001:db8::/66"}, false, 0, 1 << 62},
	} {
		t.Run(name, func(t *testing.T) {
			in := pool("a", 0, tc.addresses...)
			in.Spec.AvoidBuggyIPs = tc.avoid
			p, _ := parsePool(&in)
			if p.Size(IPv4) != tc.v4 || p.Size(IPv6) != tc.v6 {
				t.Errorf("got %d and %d, want %d and %d", p.Size(IPv4), p.Size(IPv6), tc.v4, tc.v6)
			}
		})
	}
}

func TestAdmits(t *testing.T) {
	red := []v1beta1.LabelSelector{{MatchLabels: map[string]string{"team": "red"}}}
	for name, tc := range map[string]struct {
		allocation v1beta1.ServiceAllocation
		ns         string
		nsLabels   map[string]string
		labels     map[string]string
		want       bool
	}{
		"Everyone":           {v1beta1.ServiceAllocation{Priority: 3}, "a", nil, nil, true},
		"Listed":             {v1beta1.ServiceAllocation{Namespaces: []string{"b", "a"}}, "a", nil, nil, true},
		"NotListed":          {v1beta1.ServiceAllocation{Namespaces: []string{"b"}}, "a", nil, nil, false},
		"NamespaceLabels":    {v1beta1.ServiceAllocation{Namespaces: []string{"b"}, NamespaceSelectors: red}, "a", map[string]string{"team": "red"}, nil, true},
		"WrongNamespace":     {v1beta1.ServiceAllocation{NamespaceSelectors: red}, "a", nil, map[string]string{"team": "red"}, false},
		"ServiceLabels":      {v1beta1.ServiceAllocation{ServiceSelectors: red}, "a", nil, map[string]string{"team": "red"}, true},
		"BothNeeded":         {v1beta1.ServiceAllocation{Namespaces: []string{"b"}, ServiceSelectors: red}, "a", nil, map[string]string{"team": "red"}, false},
		"EmptySelectorIsAll": {v1beta1.ServiceAllocation{ServiceSelectors: []v1beta1.LabelSelector{{}}}, "a", nil, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			in := pool("p", 0, "192.0.2.0/24")
			in.Spec.ServiceAllocation = &tc.allocation
			p, problems := parsePool(&in)
			if len(problems) > 0 || p.Admits(tc.ns, tc.nsLabels, tc.labels) != tc.want {
				t.Errorf("want %t; %v", tc.want, problems)
			}
		})
	}
}
