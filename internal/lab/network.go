//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// buildNetwork lays the cables between hosts that exist, and sets the routes.
func (l *Lab) buildNetwork() error {
	if err := l.prepareHosts(); err != nil {
		return err
	}
	for _, segment := range []string{NodesSegment, FarSegment} {
		if err := l.ensureSegment(segment); err != nil {
			return err
		}
	}
	for _, c := range cables(l.options.Nodes) {
		if err := l.lay(c); err != nil {
			return err
		}
	}
	for _, r := range routes(l.options.Nodes) {
		if err := l.addRoute(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) addRoute(r route) error {
	var hops []*netlink.NexthopInfo
	for _, via := range r.Via {
		hops = append(hops, &netlink.NexthopInfo{Gw: via.AsSlice()})
	}
	err := l.netlink(r.Host, func(h *netlink.Handle) error {
		return h.RouteAdd(&netlink.Route{Dst: ipNet(r.To), MultiPath: hops})
	})
	if err != nil {
		return fmt.Errorf("add route on %s to %s via %v: %w", r.Host, r.To, r.Via, err)
	}
	return nil
}

// netlink calls f with a handle on a host's network.
func (l *Lab) netlink(host string, f func(*netlink.Handle) error) error {
	ns, err := netns.GetFromPath(l.namespace(host, "net"))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no host %q in lab %s", host, l.options.Name)
	}
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	return f(h)
}

func setUp(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	return h.LinkSetUp(link)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
