package announce

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/config"
)

// Reach is what becomes of an address of a Service by BGP, from all nodes together. It follows from the configuration and the
// endpoints: whether sessions are established changes nothing in it. It is zero where no BGPAdvertisement is for the address.
type Reach struct {
	// Peers are the names of the BGPPeers that it is announced to, sorted.
	Peers []string
	// Reason is Announced where there are Peers, and otherwise why not.
	Reason Reason
	// Message is a sentence for the user, empty where Reason is Announced.
	Message string
}

func reach(s *config.Snapshot, nodes []Node, a netip.Addr, svc *Service) Reach {
	pool := s.PoolOf(a)
	if pool == nil {
		return Reach{}
	}
	ads := s.BGPFor(pool, svc.Labels)
	switch {
	case len(ads) == 0:
		return Reach{}
	case len(svc.Endpoints) == 0:
		return Reach{Reason: NoEndpoints, Message: "the Service has no ready endpoint"}
	}
	out, selected := Reach{Reason: Announced}, false
	for _, p := range s.Peers() {
		for _, ad := range ads {
			if !p.Carries(config.FamilyOf(a)) || !ad.SelectsPeer(p.Name) {
				continue
			}
			selected = true
			if slices.ContainsFunc(nodes, func(n Node) bool { return !n.Excluded && p.SelectsNode(n.Labels) && routable(ad, svc, &n) }) {
				out.Peers = append(out.Peers, p.Name)
				break
			}
		}
	}
	switch names := namesOf(ads); {
	case len(out.Peers) > 0:
		return out
	case !selected:
		return Reach{Reason: NoNode, Message: fmt.Sprintf("no BGPPeer that is active takes the %s routes of BGPAdvertisement %s", config.FamilyOf(a), names)}
	default:
		return Reach{Reason: NoNode, Message: "no node that BGPAdvertisement " + names + " and a BGPPeer select has enough ready endpoints to reach"}
	}
}

func namesOf(ads []*config.BGPAdvertisement) string {
	names := make([]string, len(ads))
	for i, ad := range ads {
		names[i] = ad.Name
	}
	return strings.Join(names, ", ")
}
