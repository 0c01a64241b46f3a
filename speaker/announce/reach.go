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

// routedKind is what addresses have in common of which the same becomes by BGP.
type routedKind struct {
	first, second *config.BGPAdvertisement // second is nil if there is one
	family        config.Family
	enough        [2]bool // endpoints, for each of the advertisements
}

// reach says what becomes of an address of a Service by BGP. Of Services of policy Local each has endpoints of its own; of others there are
// few kinds, each of which is worked out once.
func (d *Decider) reach(a netip.Addr, svc *Service) Reach {
	pool := d.snapshot.PoolOf(a)
	if pool == nil {
		return Reach{}
	}
	ads := d.snapshot.BGPFor(pool, svc.Labels)
	switch {
	case len(ads) == 0:
		return Reach{}
	case len(svc.Endpoints) == 0:
		return Reach{Reason: NoEndpoints, Message: "the Service has no ready endpoint"}
	case d.routed == nil || svc.Local || len(ads) > 2:
		return reach(d.snapshot, d.nodes, ads, a, svc)
	}
	k := routedKind{first: ads[0], family: config.FamilyOf(a)}
	if len(ads) == 2 {
		k.second = ads[1]
	}
	for i, ad := range ads {
		k.enough[i] = len(svc.Endpoints) >= ad.MinReadyEndpoints
	}
	r, known := d.routed[k]
	if !known {
		r = reach(d.snapshot, d.nodes, ads, a, svc)
		d.routed[k] = r
	}
	return r
}

func reach(s *config.Snapshot, nodes []Node, ads []*config.BGPAdvertisement, a netip.Addr, svc *Service) Reach {
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
