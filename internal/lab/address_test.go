package lab

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNodeAddresses(t *testing.T) {
	tests := map[string]struct {
		reason string
		n      int
		addrs  string
		pods   []string
	}{
		"First": {"the first node follows the hosts that every lab has", 1,
			"172.30.0.11,fd30::11", []string{"10.244.1.0/24", "fd44:0:0:1::/64"}},
		"TwoDigits": {"both families are written with the same digits", 10,
			"172.30.0.20,fd30::20", []string{"10.244.10.0/24", "fd44:0:0:10::/64"}},
		"Last": {"the last node stays below the external addresses", MaxNodes,
			"172.30.0.90,fd30::90", []string{"10.244.80.0/24", "fd44:0:0:80::/64"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.addrs, NodeAddrs(tc.n).String()); diff != "" {
				t.Errorf("%s: addresses (-want +got):\n%s", tc.reason, diff)
			}
			var pods []string
			for _, cidr := range PodCIDRs(tc.n) {
				pods = append(pods, cidr.String())
			}
			if diff := cmp.Diff(tc.pods, pods); diff != "" {
				t.Errorf("%s: pod networks (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestAddressesDoNotMeet checks the whole plan: everybody has an address of their own, inside the segment, outside of what
// load balancers may hand out.
func TestAddressesDoNotMeet(t *testing.T) {
	owner := map[netip.Addr]string{}
	for _, c := range cables(MaxNodes) {
		for _, prefix := range c.Prefixes {
			addr := prefix.Addr()
			if other := owner[addr]; other != "" {
				t.Errorf("%s and %s are both %s", other, c.Host, addr)
			}
			owner[addr] = c.Host
			if ExternalV6.Contains(addr) || (addr.Compare(ExternalV4[0]) >= 0 && addr.Compare(ExternalV4[1]) <= 0) {
				t.Errorf("%s of %s is for load balancers", addr, c.Host)
			}
		}
	}
	for n := 1; n <= MaxNodes; n++ {
		for _, cidr := range PodCIDRs(n) {
			if !PodsV4.Overlaps(cidr) && !PodsV6.Overlaps(cidr) {
				t.Errorf("pods %s of node %d are outside of the cluster's", cidr, n)
			}
		}
	}
}

func TestRoutes(t *testing.T) {
	got := map[string][]string{}
	for _, r := range routes(2) {
		got[r.Host] = append(got[r.Host], fmt.Sprintf("%s via %v", r.To, r.Via))
	}
	byDefault := []string{"0.0.0.0/0 via [172.30.0.1 172.30.0.4]", "::/0 via [fd30::1 fd30::4]"}
	first := []string{"10.244.1.0/24 via [172.30.0.11]", "fd44:0:0:1::/64 via [fd30::11]"}
	second := []string{"10.244.2.0/24 via [172.30.0.12]", "fd44:0:0:2::/64 via [fd30::12]"}
	want := map[string][]string{
		Control:   concat(byDefault, first, second),
		Router1:   concat(first, second),
		Router2:   concat(first, second),
		Client:    byDefault,
		FarClient: {"0.0.0.0/0 via [172.31.0.1 172.31.0.4]", "::/0 via [fd31::1 fd31::4]"},
		"node-1":  concat(byDefault, second),
		"node-2":  concat(byDefault, first),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes of two nodes (-want +got):\n%s", diff)
	}
}

func concat(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}
