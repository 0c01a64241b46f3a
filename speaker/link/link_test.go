package link

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var mac = net.HardwareAddr{2, 0, 0, 0, 0, 1}

func prefixes(ss ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestBuild(t *testing.T) {
	ether := attributes{index: 2, name: "eth0", encapsulation: "ether", mac: mac, up: true, running: true}
	with := func(edit func(*attributes)) attributes {
		a := ether
		edit(&a)
		return a
	}
	plain := Link{Index: 2, Name: "eth0", MAC: mac}
	cases := map[string]struct {
		reason  string
		link    attributes
		subnets []netip.Prefix
		default4,
		default6 bool
		want []Link
	}{
		"Ethernet":  {reason: "an interface that is up", link: ether, want: []Link{plain}},
		"Down":      {reason: "one that is down", link: with(func(a *attributes) { a.up = false })},
		"NoCarrier": {reason: "a cable that is pulled", link: with(func(a *attributes) { a.running = false })},
		"Loopback":  {reason: "the loopback", link: with(func(a *attributes) { a.loopback = true })},
		"Port":      {reason: "a port of a bridge or a bond: the frames are the master's", link: with(func(a *attributes) { a.master = 7 })},
		"Tunnel":    {reason: "a tunnel has no ARP", link: with(func(a *attributes) { a.encapsulation = "ipip" })},
		"NoMAC":     {reason: "nothing to answer with", link: with(func(a *attributes) { a.mac = nil })},
		"PodEnd":    {reason: "the node's end of a pod's interface", link: with(func(a *attributes) { a.veth = true }), subnets: prefixes("10.244.1.1/32")},
		"VethOnSegment": {
			reason: "a veth that leads to a segment is an interface like others", link: with(func(a *attributes) { a.veth = true }),
			subnets: prefixes("192.0.2.11/24"), want: []Link{{Index: 2, Name: "eth0", MAC: mac, Subnets: prefixes("192.0.2.0/24")}},
		},
		"Subnets": {
			reason: "subnets are masked, sorted, each once, and without those that no other host is in", link: ether,
			subnets: prefixes("2001:db8::11/64", "192.0.2.12/24", "192.0.2.11/24", "fe80::1/64", "169.254.0.1/16", "192.0.2.200/32"),
			want:    []Link{{Index: 2, Name: "eth0", MAC: mac, Subnets: prefixes("192.0.2.0/24", "2001:db8::/64")}},
		},
		"DefaultRoutes": {
			reason: "default routes by family", link: ether, default6: true,
			want: []Link{{Index: 2, Name: "eth0", MAC: mac, Default6: true}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := build([]attributes{tc.link}, map[int][]netip.Prefix{2: tc.subnets}, map[int]bool{2: tc.default4}, map[int]bool{2: tc.default6})
			if diff := cmp.Diff(append([]Link{}, tc.want...), got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("\n%s\nbuild(…): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
