//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/internal/router"
)

// Paths returns the paths to a prefix that a router has from the nodes, in the router's own words.
func (l *Lab) Paths(ctx context.Context, host string, prefix netip.Prefix) ([]router.Path, error) {
	if host == Router1 {
		family := "ipv4"
		if prefix.Addr().Is6() {
			family = "ipv6"
		}
		out, err := l.Host(host).Command(ctx, "vtysh", "-c", fmt.Sprintf("show bgp %s %s json", family, prefix)).Output()
		if err != nil {
			return nil, fmt.Errorf("ask %s for %s: %w", host, prefix, err)
		}
		return router.ParseFRR(out)
	}
	out, err := l.Host(host).Command(ctx, "birdc", "show", "route", prefix.String(), "all").Output()
	if err != nil && len(out) == 0 { // it fails with "Network not found", too
		return nil, fmt.Errorf("ask %s for %s: %w", host, prefix, err)
	}
	return router.ParseBIRD(string(out))
}

// BFDUp returns the neighbours with which a router has BFD sessions that are up.
func (l *Lab) BFDUp(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == Router1 {
		out, err := l.Host(host).Command(ctx, "vtysh", "-c", "show bfd peers json").Output()
		if err != nil {
			return nil, fmt.Errorf("ask %s for its BFD sessions: %w", host, err)
		}
		return router.ParseFRRBFD(out)
	}
	out, err := l.Host(host).Command(ctx, "birdc", "show", "bfd", "sessions").Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its BFD sessions: %w", host, err)
	}
	return router.ParseBIRDBFD(string(out))
}

// Forwards returns the nodes to which a router's kernel forwards a prefix, in the order of their names: what traffic follows.
func (l *Lab) Forwards(host string, prefix netip.Prefix) (nodes []string, err error) {
	var hops []netip.Addr
	err = l.netlink(host, func(h *netlink.Handle) error {
		hops, err = nextHops(h, prefix)
		return err
	})
	if err != nil || len(hops) == 0 {
		return nil, err
	}
	for n := 1; n <= l.options.Nodes; n++ {
		own, err := l.addresses(NodeName(n))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(hops, func(hop netip.Addr) bool { return slices.Contains(own, hop) }) {
			nodes = append(nodes, NodeName(n))
		}
	}
	slices.Sort(nodes)
	return nodes, nil
}

func nextHops(h *netlink.Handle, prefix netip.Prefix) (hops []netip.Addr, err error) {
	family := unix.AF_INET
	if prefix.Addr().Is6() {
		family = unix.AF_INET6
	}
	routes, err := h.RouteListFiltered(family, &netlink.Route{Dst: ipNet(prefix)}, netlink.RT_FILTER_DST)
	if err != nil {
		return nil, fmt.Errorf("list routes to %s: %w", prefix, err)
	}
	for _, r := range routes {
		if hop, ok := netip.AddrFromSlice(r.Gw); ok {
			hops = append(hops, hop.Unmap())
		}
		for _, m := range r.MultiPath {
			if hop, ok := netip.AddrFromSlice(m.Gw); ok {
				hops = append(hops, hop.Unmap())
			}
		}
	}
	return hops, nil
}

// addresses returns a host's addresses on the nodes' segment, the link-local one too.
func (l *Lab) addresses(host string) (all []netip.Addr, err error) {
	err = l.netlink(host, func(h *netlink.Handle) error {
		link, err := h.LinkByName("eth0")
		if err != nil {
			return err
		}
		addrs, err := h.AddrList(link, netlink.FAMILY_ALL)
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok {
				all = append(all, ip.Unmap())
			}
		}
		return err
	})
	return all, err
}
