package lab

import (
	"fmt"
	"net/netip"
)

// The networks of a lab. They are the same in every lab: namespaces keep them apart.
var (
	// NodesV4 and NodesV6 are the segment of the control plane, the nodes, the client and the routers.
	NodesV4 = netip.MustParsePrefix("172.30.0.0/24")
	NodesV6 = netip.MustParsePrefix("fd30::/64")
	// FarV4 and FarV6 are the segment behind the routers.
	FarV4 = netip.MustParsePrefix("172.31.0.0/24")
	FarV6 = netip.MustParsePrefix("fd31::/64")
	// PodsV4 and PodsV6 hold every node's PodCIDRs.
	PodsV4 = netip.MustParsePrefix("10.244.0.0/16")
	PodsV6 = netip.MustParsePrefix("fd44::/48")
	// ServicesV4 and ServicesV6 are the ClusterIPs.
	ServicesV4 = netip.MustParsePrefix("10.96.0.0/16")
	ServicesV6 = netip.MustParsePrefix("fd96::/112")
	// ExternalV4 (first and last address) and ExternalV6 are left free on the nodes' segment for load balancers.
	ExternalV4 = [2]netip.Addr{netip.MustParseAddr("172.30.0.100"), netip.MustParseAddr("172.30.0.250")}
	ExternalV6 = netip.MustParsePrefix("fd30::100:0/112")
)

// Last parts of addresses on a segment. A node's is nodePart plus its number.
const (
	router1Part   = 1
	controlPart   = 2
	clientPart    = 3
	router2Part   = 4
	nodePart      = 10
	farClientPart = 2
)

// MaxNodes is how many nodes fit below the external addresses.
const MaxNodes = 80

const apiPort = 6443

// Addrs is a host's IPv4 and IPv6 address.
type Addrs struct {
	V4, V6 netip.Addr
}

func (a Addrs) prefixes() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(a.V4, 24), netip.PrefixFrom(a.V6, 64)}
}

func (a Addrs) String() string { return a.V4.String() + "," + a.V6.String() }

// The addresses of the hosts which every lab has. Routers have two, one on each segment.
var (
	Router1Addrs    = onNodes(router1Part)
	Router2Addrs    = onNodes(router2Part)
	ControlAddrs    = onNodes(controlPart)
	ClientAddrs     = onNodes(clientPart)
	Router1FarAddrs = onFar(router1Part)
	Router2FarAddrs = onFar(router2Part)
	FarClientAddrs  = onFar(farClientPart)
)

// NodeAddrs returns the addresses of node n, counted from one.
func NodeAddrs(n int) Addrs { return onNodes(nodePart + n) }

// NodeName returns the name of node n, counted from one.
func NodeName(n int) string { return fmt.Sprintf("node-%d", n) }

// PodCIDRs returns the pod networks of node n, IPv4 first.
func PodCIDRs(n int) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", n)),
		netip.MustParsePrefix(fmt.Sprintf("fd44:0:0:%d::/64", n)),
	}
}

// onNodes writes the last part with the same digits in both families, so that .11 is also ::11.
func onNodes(part int) Addrs {
	return Addrs{
		netip.MustParseAddr(fmt.Sprintf("172.30.0.%d", part)),
		netip.MustParseAddr(fmt.Sprintf("fd30::%d", part)),
	}
}

func onFar(part int) Addrs {
	return Addrs{
		netip.MustParseAddr(fmt.Sprintf("172.31.0.%d", part)),
		netip.MustParseAddr(fmt.Sprintf("fd31::%d", part)),
	}
}

// clusterDNS is where pods look for names. Nobody answers there unless a user puts a Service there.
var clusterDNS = netip.MustParseAddr("10.96.0.10")
