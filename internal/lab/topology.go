package lab

import "net/netip"

// The hosts which every lab has, besides its nodes.
const (
	Control   = "control"
	Router    = "router"
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

type route struct {
	Host string
	To   netip.Prefix
	Via  netip.Addr
}

var (
	defaultV4 = netip.MustParsePrefix("0.0.0.0/0")
	defaultV6 = netip.MustParsePrefix("::/0")
)

func hostNames(nodes int) []string {
	names := []string{Control, Router, Client, FarClient}
	for n := 1; n <= nodes; n++ {
		names = append(names, NodeName(n))
	}
	return names
}

func cables(nodes int) []cable {
	all := []cable{
		{Control, "eth0", NodesSegment, ControlAddrs.prefixes()},
		{Router, "eth0", NodesSegment, RouterAddrs.prefixes()},
		{Router, "eth1", FarSegment, RouterFarAddrs.prefixes()},
		{Client, "eth0", NodesSegment, ClientAddrs.prefixes()},
		{FarClient, "eth0", FarSegment, FarClientAddrs.prefixes()},
	}
	for n := 1; n <= nodes; n++ {
		all = append(all, cable{NodeName(n), "eth0", NodesSegment, NodeAddrs(n).prefixes()})
	}
	return all
}

// routes gives every host a default route, and the hosts that forward or that answer pods the routes to their networks.
func routes(nodes int) []route {
	var all []route
	for _, host := range hostNames(nodes) {
		switch host {
		case Router:
		case FarClient:
			all = append(all, defaults(host, RouterFarAddrs)...)
		default:
			all = append(all, defaults(host, RouterAddrs)...)
		}
		if host == Client || host == FarClient {
			continue
		}
		for n := 1; n <= nodes; n++ {
			if host == NodeName(n) {
				continue
			}
			pods, via := PodCIDRs(n), NodeAddrs(n)
			all = append(all, route{host, pods[0], via.V4}, route{host, pods[1], via.V6})
		}
	}
	return all
}

func defaults(host string, via Addrs) []route {
	return []route{{host, defaultV4, via.V4}, {host, defaultV6, via.V6}}
}
