//go:build linux

package lab

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

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
