package bgp

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// addresses returns those of the interface that has one; nil if none has.
func addresses(local netip.Addr) ([]netip.Addr, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	for _, l := range links {
		all, err := l.Addrs()
		if err != nil {
			continue // it has gone
		}
		var out []netip.Addr
		for _, a := range all {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out = append(out, p.Addr().WithZone(""))
			}
		}
		if slices.Contains(out, local.WithZone("")) && (local.Zone() == "" || local.Zone() == l.Name) {
			return out, nil
		}
	}
	return nil, nil
}

// nextHops returns the next hops of each family in a session whose own address is local, on an interface that has the given
// addresses. extended tells that the peer takes IPv4 routes with an IPv6 next hop (RFC 8950). A family without is missing.
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
