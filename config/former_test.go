package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// TestFormer has objects edited so that they cannot be accepted: they stay active as they were last accepted.
func TestFormer(t *testing.T) {
	pool := func(name string, age int, now, former []string) v1beta1.IPAddressPool {
		p := v1beta1.IPAddressPool{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(age), 0))},
			Spec:       v1beta1.IPAddressPoolSpec{Addresses: now},
		}
		if former != nil {
			p.Status.AcceptedSpec = &v1beta1.IPAddressPoolSpec{Addresses: former}
		}
		return p
	}
	bad := []v1beta1.LabelSelector{{MatchExpressions: []v1beta1.LabelSelectorRequirement{{Key: "a", Operator: "in", Values: []string{"b"}}}}}
	type want struct {
		owner   string // of 192.0.2.7
		refused bool
		l2      int
		says    string
	}
	older := pool("older", 1, []string{"192.0.2.0/28"}, nil)
	cases := map[string]struct {
		reason string
		pools  []v1beta1.IPAddressPool
		l2     []v1beta1.L2Advertisement
		want   want
	}{
		"Unreadable": {
			"a typing error in the only range", []v1beta1.IPAddressPool{pool("a", 2, []string{"192.0.2.9-192.0.2.1"}, []string{"192.0.2.0/24"})}, nil,
			want{"a", false, 0, "ends before it starts; until that is corrected"},
		},
		"NeverAccepted": {
			"a new one has nothing to stay active", []v1beta1.IPAddressPool{pool("a", 2, []string{"192.0.2.9-192.0.2.1", "192.0.2.7"}, nil)}, nil,
			want{"a", true, 0, "ends before it starts"},
		},
		"FormerUnreadable": {
			"nor has one whose former spec is not understood", []v1beta1.IPAddressPool{pool("a", 2, []string{"x"}, []string{"y"})}, nil,
			want{"", false, 0, "is not a CIDR"},
		},
		"Overlaps": {
			"an edit that reaches into an older pool", []v1beta1.IPAddressPool{older, pool("a", 2, []string{"192.0.2.0/24"}, []string{"192.0.2.128/25"})}, nil,
			want{"older", false, 0, "also belongs to pool older, which is older; until that is corrected"},
		},
		"OlderOverlaps": {
			"an older pool that reaches into this one", []v1beta1.IPAddressPool{older, pool("a", 2, []string{"192.0.2.0/24"}, []string{"192.0.2.0/24"})}, nil,
			want{"older", true, 0, "no addresses are assigned from this pool"},
		},
		"Advertisement": {
			"a selector that cannot be read", []v1beta1.IPAddressPool{older},
			[]v1beta1.L2Advertisement{{
				ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: v1beta1.L2AdvertisementSpec{NodeSelectors: bad},
				Status: v1beta1.L2AdvertisementStatus{AcceptedSpec: &v1beta1.L2AdvertisementSpec{}},
			}},
			want{"older", false, 1, "nodeSelectors[0]"},
		},
		"NewAdvertisement": {
			"one that never was accepted announces nothing", []v1beta1.IPAddressPool{older},
			[]v1beta1.L2Advertisement{{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: v1beta1.L2AdvertisementSpec{NodeSelectors: bad}}},
			want{"older", false, 0, "nodeSelectors[0]"},
		},
		"Useless": {
			"addresses that nobody can reach are no pool's", []v1beta1.IPAddressPool{pool("a", 2, []string{"127.0.0.0/30", "192.0.2.7"}, nil)}, nil,
			want{"a", true, 0, "cannot be used"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, problems := Build(Objects{Pools: tc.pools, L2Advertisements: tc.l2})
			var said []string
			for _, p := range problems {
				said = append(said, p.String())
			}
			got := want{says: tc.want.says}
			if p := s.PoolOf(netip.MustParseAddr("192.0.2.7")); p != nil {
				got.owner = p.Name
			}
			if p := s.Pool("a"); p != nil && tc.want.owner != "" {
				got.refused = p.Refused
			}
			if p := s.Pool("older"); p != nil {
				got.l2 = len(s.L2For(p, nil))
			}
			if got != tc.want || !strings.Contains(strings.Join(said, "\n"), tc.want.says) {
				t.Errorf("%s: got %+v, want %+v; problems: %q", tc.reason, got, tc.want, said)
			}
			if p := s.PoolOf(netip.MustParseAddr("127.0.0.1")); p != nil {
				t.Errorf("%s has a loopback address", p.Name)
			}
		})
	}
}
