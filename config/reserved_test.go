package config

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func reserved(why Reason, name, r string) Reserved {
	parsed, err := ParseRange(r)
	if err != nil {
		panic(err)
	}
	return Reserved{parsed, why, name}
}

func TestReserved(t *testing.T) {
	excluding := pool("a", 0, "192.0.2.0/24")
	excluding.Spec.Exclude = []string{"192.0.2.7"}
	const (
		node    = "; exclude them: a Service that gets one takes the traffic of the node"
		pod     = "; exclude them: a Service that gets one takes the traffic of a pod"
		service = "; exclude them: a Service that gets one takes the traffic of another"
	)
	var many []Reserved
	for i := range 5 {
		many = append(many, reserved(NodeAddress, fmt.Sprintf("node-%d", 5-i), fmt.Sprintf("192.0.2.%d", i)))
	}
	cases := map[string]struct {
		reason   string
		pools    []v1beta1.IPAddressPool
		reserved []Reserved
		want     []Problem
	}{
		"Apart": {
			reason:   "addresses of others, and of the other family",
			pools:    []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/25")},
			reserved: []Reserved{reserved(NodeAddress, "node-1", "192.0.2.128"), reserved(PodNetwork, "node-1", "::/0")},
		},
		"Excluded": {
			reason:   "the remedy works",
			pools:    []v1beta1.IPAddressPool{excluding},
			reserved: []Reserved{reserved(NodeAddress, "node-1", "192.0.2.7")},
		},
		"EachKindOnce": {
			reason: "one warning of a kind, with what the two have in common",
			pools:  []v1beta1.IPAddressPool{pool("a", 0, "10.0.0.0/16", "2001:db8::/64")},
			reserved: []Reserved{
				reserved(ServiceNetwork, "kubernetes", "10.0.255.0-10.1.0.0"), reserved(PodNetwork, "node-1", "10.0.1.0/24"),
				reserved(NodeAddress, "node-1", "2001:db8::7"), reserved(NodeAddress, "node-1", "10.0.0.7"),
			},
			want: []Problem{
				{Ref{IPAddressPool, "a"}, NodeAddress, "nodes have addresses of this pool: 10.0.0.7 (node-1), 2001:db8::7 (node-1)" + node},
				{Ref{IPAddressPool, "a"}, PodNetwork, "pods may have addresses of this pool: 10.0.1.0/24 (node-1)" + pod},
				{Ref{IPAddressPool, "a"}, ServiceNetwork,
					"Services may have addresses of this pool as their cluster IPs: 10.0.255.0/24 (kubernetes)" + service},
			},
		},
		"Many": {
			reason:   "the first are named, the rest are counted, each once, in whatever order they come",
			pools:    []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/24")},
			reserved: append(many, many...),
			want: []Problem{{Ref{IPAddressPool, "a"}, NodeAddress,
				"nodes have addresses of this pool: 192.0.2.0 (node-5), 192.0.2.1 (node-4), 192.0.2.2 (node-3) and 2 more" + node}},
		},
		"SeveralPools": {
			reason:   "a network that goes over several pools is told to each",
			pools:    []v1beta1.IPAddressPool{pool("a", 0, "10.0.0.1", "10.0.0.9"), pool("b", 0, "10.0.0.4-10.0.0.5"), pool("c", 0, "10.1.0.0/16")},
			reserved: []Reserved{reserved(PodNetwork, "node-1", "10.0.0.0/24")},
			want: []Problem{
				{Ref{IPAddressPool, "a"}, PodNetwork, "pods may have addresses of this pool: 10.0.0.1 (node-1), 10.0.0.9 (node-1)" + pod},
				{Ref{IPAddressPool, "b"}, PodNetwork, "pods may have addresses of this pool: 10.0.0.4/31 (node-1)" + pod},
			},
		},
		"RefusedToo": {
			reason: "a pool that is refused is told of what is its own",
			pools:  []v1beta1.IPAddressPool{pool("a", time.Hour, "192.0.2.0/25"), pool("b", 0, "192.0.2.0/24")},
			reserved: []Reserved{
				reserved(NodeAddress, "node-1", "192.0.2.1"), reserved(NodeAddress, "node-2", "192.0.2.200")},
			want: []Problem{
				{Ref{IPAddressPool, "a"}, NodeAddress, "nodes have addresses of this pool: 192.0.2.1 (node-1)" + node},
				{Ref{IPAddressPool, "b"}, NodeAddress, "nodes have addresses of this pool: 192.0.2.200 (node-2)" + node},
				{Ref{IPAddressPool, "b"}, Overlap,
					"192.0.2.0/25 also belongs to pool a, which is older; no addresses are assigned from this pool until they differ"},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, got := Build(Objects{Pools: tc.pools, Reserved: tc.reserved})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nproblems: -want, +got:\n%s", tc.reason, diff)
			}
			if plain, _ := Build(Objects{Pools: tc.pools}); !s.SameAddresses(plain) {
				t.Errorf("\n%s\na warning has changed what is active", tc.reason)
			}
		})
	}
}

// BenchmarkReserved is a large cluster in which nothing is wrong.
func BenchmarkReserved(b *testing.B) {
	o := Objects{Pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/24", "2001:db8::/64")}}
	for i := range 5000 {
		at := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		pods := netipx.RangeOfPrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), 0}), 24))
		name := fmt.Sprintf("node-%d", i)
		o.Reserved = append(o.Reserved, Reserved{netipx.IPRangeFrom(at, at), NodeAddress, name}, Reserved{pods, PodNetwork, name})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := Build(o); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
