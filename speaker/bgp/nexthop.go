package bgp

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/config"
)

// nextHops returns the next hops of each family in a session whose own address is local, on an interface that has the given
// addresses, the best first. extended tells that the peer takes IPv4 routes with an IPv6 next hop (RFC 8950). A family without is missing.
func nextHops(local netip.Addr, of []netip.Addr, extended bool) map[config.Family]netip.Addr {
	out := map[config.Family]netip.Addr{config.FamilyOf(local): local.WithZone("")}
	if config.FamilyOf(local) == config.IPv6 && extended {
		out[config.IPv4] = local.WithZone("")
		return out
	}
	for _, a := range of {
		if f := config.FamilyOf(a); !out[f].IsValid() && a.IsGlobalUnicast() {
			out[f] = a
		}
	}
	return out
}
