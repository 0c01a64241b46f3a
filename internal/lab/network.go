//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// hostSysctls make a host answer and forward at once. New namespaces take some values from the machine, so those which
// matter are written even if they are the kernel's defaults.
var hostSysctls = map[string]string{
	"net.ipv4.conf.all.rp_filter":            "0",
	"net.ipv4.conf.default.rp_filter":        "0",
	"net.ipv4.conf.all.send_redirects":       "0",
	"net.ipv4.conf.default.send_redirects":   "0",
	"net.ipv4.conf.all.accept_redirects":     "0",
	"net.ipv6.conf.all.accept_redirects":     "0",
	"net.ipv6.conf.default.accept_redirects": "0",
	"net.ipv6.conf.all.disable_ipv6":         "0",
	"net.ipv6.conf.default.disable_ipv6":     "0",
	"net.ipv6.conf.all.accept_dad":           "0",
	"net.ipv6.conf.default.accept_dad":       "0",
	"net.ipv6.conf.default.accept_ra":        "0",
}

// forwardSysctls make nodes and the router forward, the latter over all of several equal routes.
var forwardSysctls = map[string]string{
	"net.ipv4.ip_forward":                "1",
	"net.ipv6.conf.all.forwarding":       "1",
	"net.ipv6.conf.default.forwarding":   "1",
	"net.ipv4.fib_multipath_hash_policy": "1",
	"net.ipv6.fib_multipath_hash_policy": "1",
}

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

func (l *Lab) prepareHosts() error {
	var g errgroup.Group
	for _, name := range append(hostNames(l.options.Nodes), fabric) {
		g.Go(func() error {
			if err := l.prepareHost(name); err != nil {
				return fmt.Errorf("prepare host %s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (l *Lab) prepareHost(name string) error {
	err := l.Host(name).Do(func() error {
		if name == fabric {
			return writeSysctls(map[string]string{"net.ipv6.conf.default.disable_ipv6": "1"})
		}
		if err := writeSysctls(hostSysctls); err != nil {
			return err
		}
		if name == Router || strings.HasPrefix(name, "node-") {
			return writeSysctls(forwardSysctls)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.netlink(name, func(h *netlink.Handle) error { return setUp(h, "lo") })
}

func writeSysctls(values map[string]string) error {
	for name, value := range values {
		if err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// ensureSegment makes the bridge of a segment unless there is one. It floods multicast, so no group need be joined.
func (l *Lab) ensureSegment(name string) error {
	return l.netlink(fabric, func(h *netlink.Handle) error {
		if _, err := h.LinkByName(name); err == nil {
			return nil
		}
		snoop := false
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &snoop}
		if err := h.LinkAdd(bridge); err != nil {
			return fmt.Errorf("add bridge %s: %w", name, err)
		}
		return setUp(h, name)
	})
}

// lay ties a new interface of a host to a segment that exists.
func (l *Lab) lay(c cable) error {
	if err := l.plug(c); err != nil {
		return fmt.Errorf("lay cable from %s %s to %s: %w", c.Host, c.Name, c.Segment, err)
	}
	return l.netlink(c.Host, func(h *netlink.Handle) error { return address(h, c.Name, c.Prefixes) })
}

func (l *Lab) plug(c cable) error {
	port, err := portName(c.Host, c.Name)
	if err != nil {
		return err
	}
	host, err := netns.GetFromPath(l.namespace(c.Host, "net"))
	if err != nil {
		return err
	}
	defer host.Close()
	return l.netlink(fabric, func(h *netlink.Handle) error {
		bridge, err := h.LinkByName(c.Segment)
		if err != nil {
			return err
		}
		veth := netlink.NewVeth(netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index})
		veth.PeerName, veth.PeerNamespace = c.Name, netlink.NsFd(host)
		if err := h.LinkAdd(veth); err != nil {
			return err
		}
		return setUp(h, port)
	})
}

// portName names the fabric's end of a cable after the other one.
func portName(host, name string) (string, error) {
	port := host + "." + name
	if len(port) >= unix.IFNAMSIZ {
		return "", fmt.Errorf("interface name %q: %d bytes at most on %s", name, unix.IFNAMSIZ-2-len(host), host)
	}
	return port, nil
}

func address(h *netlink.Handle, name string, prefixes []netip.Prefix) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	for _, prefix := range prefixes {
		addr := &netlink.Addr{IPNet: ipNet(prefix)}
		if prefix.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add %s to %s: %w", prefix, name, err)
		}
	}
	return h.LinkSetUp(link)
}

func (l *Lab) addRoute(r route) error {
	err := l.netlink(r.Host, func(h *netlink.Handle) error {
		return h.RouteAdd(&netlink.Route{Dst: ipNet(r.To), Gw: r.Via.AsSlice()})
	})
	if err != nil {
		return fmt.Errorf("add route on %s to %s via %s: %w", r.Host, r.To, r.Via, err)
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
