package agent

import (
	"net/netip"
	"testing"

	"github.com/fairlead-lb/fairlead/speaker/link"
)

func TestIsolated(t *testing.T) {
	lan := func(subnets ...string) link.Link {
		l := link.Link{Name: "eth0"}
		for _, s := range subnets {
			l.Subnets = append(l.Subnets, netip.MustParsePrefix(s))
		}
		return l
	}
	default4, default6 := link.Link{Name: "eth1", Default4: true}, link.Link{Name: "eth2", Default6: true}
	cases := map[string]struct {
		reason string
		self   string
		links  []link.Link
		want   bool
	}{
		"NoLink":        {"all cables are pulled", "192.0.2.11", nil, true},
		"Segment":       {"the others are on the segment of this node's address", "192.0.2.11", []link.Link{lan("192.0.2.0/24")}, false},
		"SegmentOf":     {"whichever of its subnets that is", "2001:db8::11", []link.Link{lan("192.0.2.0/24", "2001:db8::/64")}, false},
		"OtherSegment":  {"a link that is left, as one of pods, does not lead there", "192.0.2.11", []link.Link{lan("10.244.0.0/24")}, true},
		"DefaultRoute":  {"or they are reached by the default route", "192.0.2.11", []link.Link{lan("10.244.0.0/24"), default4}, false},
		"DefaultRoute6": {"of the family of its address", "2001:db8::11", []link.Link{default6}, false},
		"OtherFamily":   {"not by the other", "192.0.2.11", []link.Link{default6}, true},
		"OtherFamily6":  {"nor the other way round", "2001:db8::11", []link.Link{default4}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := isolated(tc.links, netip.MustParseAddr(tc.self)); got != tc.want {
				t.Errorf("%s: %t", tc.reason, got)
			}
		})
	}
	if !isolated([]link.Link{lan("192.0.2.0/24"), default4}, netip.Addr{}) {
		t.Error("a node whose address is not known yet says something of others")
	}
}
