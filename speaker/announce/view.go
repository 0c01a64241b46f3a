package announce

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// A View is what a speaker knows of the cluster. Order does not matter.
type View struct {
	Nodes    []Node
	Services []Service
}

// A Node is one node of the cluster.
type Node struct {
	Name   string
	Labels map[string]string
	// Ready: the node's Ready condition is true.
	Ready bool
	// NetworkUnavailable: the node's network is not set up (the condition of that name).
	NetworkUnavailable bool
	// Excluded: the node carries the label node.kubernetes.io/exclude-from-external-load-balancers,
	// and the label is honoured.
	Excluded bool
	// SpeakerReady: the node's speaker runs, and is not being stopped.
	SpeakerReady bool
	// Links are the interfaces on which the node could announce.
	Links []Link
}

// A Link is a network interface that is up and speaks Ethernet.
type Link struct {
	Name string
	// Subnets that the interface is attached to.
	Subnets []netip.Prefix
	// DefaultRoutes are the families of which the default route leads over the interface.
	DefaultRoutes []config.Family
}

// reaches reports whether the link's segment has the address.
func (l *Link) reaches(a netip.Addr) bool {
	return slices.ContainsFunc(l.Subnets, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Key names a Service.
type Key struct{ Namespace, Name string }

// String returns namespace/name.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// A Service is one Service that has addresses.
type Service struct {
	Key
	Labels    map[string]string
	Addresses []netip.Addr
	// Local: only nodes with an endpoint may announce (externalTrafficPolicy Local).
	Local bool
	// Endpoints counts the usable endpoints by the node that they are on; those on no known
	// node count for the empty name.
	Endpoints map[string]int
}
