package announce

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTaskOf(t *testing.T) {
	on := func(name, mac string, subnets ...string) Link {
		l := Link{Name: name, MAC: net.HardwareAddr(mac)}
		for _, s := range subnets {
			l.Subnets = append(l.Subnets, netip.MustParsePrefix(s))
		}
		return l
	}
	nodes := []Node{
		{Name: "a", Links: []Link{on("eth0", "02:a0", "192.0.2.0/24"), on("eth1", "02:a1", "198.51.100.0/24"), on("vlan7", "02:a7")}},
		{Name: "b", Links: []Link{on("eth0", "02:b0", "198.51.100.0/25"), on("eth1", "02:b1", "192.0.2.0/25"), on("vlan7", "02:b7"), on("vlan8", "02:b8")}},
	}
	by := func(node, standin string, links ...string) []Announcement {
		return []Announcement{{Reason: NoEndpoints}, {Address: vip, Node: node, Standin: standin, Links: links, StandinLinks: links, Reason: Announced}}
	}
	fresh := by("a", "", "eth0")
	fresh[1].Fresh = true
	cases := map[string]struct {
		reason string
		of     []Announcement
		want   Task
		none   bool
	}{
		"Own":       {"who announces does", by("a", "", "eth0"), Task{Addr: vip, Links: []string{"eth0"}}, false},
		"Fresh":     {"for the first time", fresh, Task{Addr: vip, Links: []string{"eth0"}, Mode: Fresh}, false},
		"Others":    {"what another node does is nothing to do", by("b", "", "eth0"), Task{}, true},
		"Nobody":    {"nor is what nobody does", by("", ""), Task{}, true},
		"Standin":   {"with the MAC of the same segment", by("b", "a", "eth0", "eth1"), Task{Addr: vip, Links: []string{"eth0", "eth1"}, Mode: Standin, MACs: map[string]net.HardwareAddr{"eth0": net.HardwareAddr("02:b1"), "eth1": net.HardwareAddr("02:b0")}}, false},
		"ByName":    {"or of the same name", by("b", "a", "vlan7"), Task{Addr: vip, Links: []string{"vlan7"}, Mode: Standin, MACs: map[string]net.HardwareAddr{"vlan7": net.HardwareAddr("02:b7")}}, false},
		"NoSegment": {"where there is none, nobody is told a wrong one", by("b", "a", "vlan8"), Task{}, true},
		"Unknown":   {"a node that is not known has nothing to do", by("x", "a", "eth0"), Task{}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := TaskOf(tc.of, "a", nodes)
			if ok == tc.none {
				t.Fatalf("%s: %+v", tc.reason, got)
			}
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); ok && diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
