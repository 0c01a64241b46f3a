package bgp

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"
)

// addresses returns those of the interface that has one; nil if none has. Those that last come first: a router that sends
// advertisements gives the node addresses beside its own, which may go again (RFC 4862, section 5.5; RFC 8981).
func addresses(local netip.Addr) ([]netip.Addr, error) {
	zone := 0
	if local.Zone() != "" {
		l, err := net.InterfaceByName(local.Zone())
		if err != nil {
			return nil, fmt.Errorf("find interface %s: %w", local.Zone(), err)
		}
		zone = l.Index
	}
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the addresses: %w", err)
	}
	of := slices.IndexFunc(all, func(a netlink.Addr) bool {
		return a.IP.Equal(local.AsSlice()) && (zone == 0 || zone == a.LinkIndex)
	})
	if of < 0 {
		return nil, nil
	}
	link := all[of].LinkIndex
	all = slices.DeleteFunc(all, func(a netlink.Addr) bool { return a.LinkIndex != link })
	slices.SortStableFunc(all, func(a, b netlink.Addr) int { return cmp.Compare(fleeting(a), fleeting(b)) })
	out := make([]netip.Addr, len(all))
	for i, a := range all {
		out[i], _ = netipx.FromStdIP(a.IP)
	}
	return out, nil
}

// source returns the address to speak from with a router, where that is better not left to the kernel: if its choice is an address that
// a router's advertisements gave the node, and the node has one of its own in the router's network. Routers know the latter as their neighbour.
func source(to netip.Addr) (from netip.Addr) {
	if !to.Is6() || to.Zone() != "" {
		return netip.Addr{}
	}
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil || len(routes) == 0 {
		return netip.Addr{} // to connect will fail, and say why
	}
	all, err := netlink.AddrList(nil, netlink.FAMILY_V6)
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range all {
		own := fleeting(a) == 0
		if a.IP.Equal(routes[0].Src) && own {
			return netip.Addr{}
		}
		if p, ok := netipx.FromStdIPNet(a.IPNet); ok && own && a.LinkIndex == routes[0].LinkIndex && p.Contains(to) && !from.IsValid() {
			from, _ = netipx.FromStdIP(a.IP)
		}
	}
	return from
}

// fleeting is 0 for an address that was configured to stay, and more the sooner it may be gone.
func fleeting(a netlink.Addr) int {
	switch {
	case a.Flags&unix.IFA_F_PERMANENT != 0:
		return 0
	case a.Flags&(unix.IFA_F_TEMPORARY|unix.IFA_F_DEPRECATED|unix.IFA_F_TENTATIVE) == 0:
		return 1
	default:
		return 2
	}
}
