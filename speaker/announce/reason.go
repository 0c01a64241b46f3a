package announce

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/fairlead-lb/fairlead/config"
)

// Reason says in one word why an address is announced or not. The same word is
// the reason of the Service's condition and of its event.
type Reason string

// What can become of an address.
const (
	// Announced: a node announces the address.
	Announced Reason = "Announced"
	// NoEndpoints: the Service has no usable endpoint anywhere.
	NoEndpoints Reason = "NoEndpoints"
	// NoPool: the address belongs to no pool of this configuration.
	NoPool Reason = "NoPool"
	// NoAdvertisement: no advertisement is for the pool and the Service.
	NoAdvertisement Reason = "NoAdvertisement"
	// NoNode: no node may or can announce the address.
	NoNode Reason = "NoNode"
	// AddressConflict: the node that would announce the address has found a conflicting host using it before.
	AddressConflict Reason = "AddressConflict"
)

// obstacle is why one node cannot announce one address. The order is that of checking.
type obstacle int

const (
	none obstacle = iota
	notSelected
	excluded
	networkUnavailable
	noLocalEndpoint
	noLink
	obstacles
)

// says completes "2 nodes …".
var says = [obstacles]string{
	notSelected:        "not selected by an advertisement",
	excluded:           "labelled node.kubernetes.io/exclude-from-external-load-balancers",
	networkUnavailable: "with condition NetworkUnavailable",
	noLocalEndpoint:    "without a ready endpoint (externalTrafficPolicy: Local)",
	noLink:             "without a suitable network interface",
}

// Obstacles says of each node, by name, why it cannot announce an address of a Service by layer 2, to complete "node …"; those
// that can are there with nothing. It is nil where no advertisement is for the Service. Endpoints that are nowhere are no obstacle.
func Obstacles(s *config.Snapshot, nodes []Node, a netip.Addr, svc *Service) map[string]string {
	x := *svc
	if len(x.Endpoints) == 0 {
		x.Local, x.Endpoints = false, []string{""}
	}
	stakes := stakesOf(s, a, []*Service{&x})
	if len(stakes) == 0 {
		return nil
	}
	out := make(map[string]string, len(nodes))
	for i := range nodes {
		out[nodes[i].Name] = says[new(candidate).suits(stakes, &nodes[i], a)]
	}
	return out
}

// explain tells how many nodes fail for which reason.
func explain(count [obstacles]int) string {
	var parts []string
	for o, n := range count {
		if n > 0 && obstacle(o) != none {
			parts = append(parts, fmt.Sprintf("%d %s", n, says[o]))
		}
	}
	if len(parts) == 0 {
		return "no node is known"
	}
	return fmt.Sprintf("no node can announce: %s", strings.Join(parts, ", "))
}
