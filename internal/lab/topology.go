package lab

import "net/netip"

// The hosts which every lab has, besides its nodes.
const (
	Control   = "control"
	Router1   = "router-1"
	Router2   = "router-2"
	Client    = "client"
	FarClient = "far-client"
	// fabric holds the bridges and the far ends of all cables.
	fabric = "fabric"
)

// The segments which every lab has. Each is a bridge in the fabric.
const (
	NodesSegment = "nodes"
	FarSegment   = "far"
)

// cable ties an interface of a host to a segment.
type cable struct {
	Host, Name, Segment string
	Prefixes            []netip.Prefix
}

// route leads to a network over all of several equal next hops.
type route struct {
	Host string
	To   netip.Prefix
	Via  []netip.Addr
}

var (
	defaultV4 = netip.MustParsePrefix("0.0.0.0/0")
	defaultV6 = netip.MustParsePrefix("::/0")
)

func hostNames(nodes int) []string {
	names := []string{Control, Router1, Router2, Client, FarClient}
	for n := 1; n <= nodes; n++ {
		names = append(names, NodeName(n))
	}
	return names
}

func cables(nodes int) []cable {
	all := []cable{
		{Control, "eth0", NodesSegment, ControlAddrs.prefixes()},
		{Router1, "eth0", NodesSegment, Router1Addrs.prefixes()},
		{Router1, "eth1", FarSegment, Router1FarAddrs.prefixes()},
		{Router2, "eth0", NodesSegment, Router2Addrs.prefixes()},
		{Router2, "eth1", FarSegment, Router2FarAddrs.prefixes()},
		{Client, "eth0", NodesSegment, ClientAddrs.prefixes()},
		{FarClient, "eth0", FarSegment, FarClientAddrs.prefixes()},
	}
	for n := 1; n <= nodes; n++ {
		all = append(all, cable{NodeName(n), "eth0", NodesSegment, NodeAddrs(n).prefixes()})
	}
	return all
}

// routes gives every host a default route over both routers, and the hosts that forward or that answer pods the routes to
// their networks.
func routes(nodes int) []route {
	var all []route
	for _, host := range hostNames(nodes) {
		switch host {
		case Router1, Router2:
		case FarClient:
			all = append(all, defaults(host, Router1FarAddrs, Router2FarAddrs)...)
		default:
			all = append(all, defaults(host, Router1Addrs, Router2Addrs)...)
		}
		if host == Client || host == FarClient {
			continue
		}
		for n := 1; n <= nodes; n++ {
			if host == NodeName(n) {
				continue
			}
			pods, via := PodCIDRs(n), NodeAddrs(n)
			all = append(all, route{host, pods[0], []netip.Addr{via.V4}}, route{host, pods[1], []netip.Addr{via.V6}})
		}
	}
	return all
}

func defaults(host string, via ...Addrs) []route {
	four, six := route{Host: host, To: defaultV4}, route{Host: host, To: defaultV6}
	for _, router := range via {
		four.Via, six.Via = append(four.Via, router.V4), append(six.Via, router.V6)
	}
	return []route{four, six}
}
