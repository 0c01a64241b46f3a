//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
)

// PullCable cuts every cable of a host, which sees its carrier go: the honest power cut, as far as others can tell.
func (l *Lab) PullCable(host string) error {
	return l.eachPort(host, func(h *netlink.Handle, port netlink.Link) error { return h.LinkSetDown(port) })
}

// ReplugCable undoes PullCable.
func (l *Lab) ReplugCable(host string) error {
	return l.eachPort(host, func(h *netlink.Handle, port netlink.Link) error { return h.LinkSetUp(port) })
}

func (l *Lab) eachPort(host string, f func(*netlink.Handle, netlink.Link) error) error {
	return l.netlink(fabric, func(h *netlink.Handle) error {
		links, err := h.LinkList()
		if err != nil {
			return err
		}
		found := false
		for _, link := range links {
			if owner, _, _ := cutPort(link.Attrs().Name); owner != host {
				continue
			}
			found = true
			if err := f(h, link); err != nil {
				return fmt.Errorf("switch port %s: %w", link.Attrs().Name, err)
			}
		}
		if !found {
			return fmt.Errorf("no cable of %q in lab %s", host, l.options.Name)
		}
		return nil
	})
}

// AddInterface gives a host one more interface with addresses, on a segment that is made if it is new.
func (l *Lab) AddInterface(host, name, segment string, prefixes ...netip.Prefix) error {
	if err := l.ensureSegment(segment); err != nil {
		return err
	}
	return l.lay(cable{host, name, segment, prefixes})
}

// RemoveInterface takes an interface from a host.
func (l *Lab) RemoveInterface(host, name string) error {
	return l.netlink(host, func(h *netlink.Handle) error {
		link, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s of %s: %w", name, host, err)
		}
		return h.LinkDel(link)
	})
}

// cutPort undoes portName.
func cutPort(port string) (host, name string, ok bool) { return strings.Cut(port, ".") }
