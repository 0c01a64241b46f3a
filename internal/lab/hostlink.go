//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// linkPair is the addresses of the link between the machine and the control plane.
type linkPair struct {
	Machine, Control netip.Addr
}

// linkPairs are 256 networks of four link-local addresses. They keep clear of 169.254.169.254, where clouds answer.
func linkPairAt(n uint32) linkPair {
	base := netip.AddrFrom4([4]byte{169, 254, byte(200 + n%256/64), byte(n % 64 * 4)})
	return linkPair{base.Next(), base.Next().Next()}
}

// pickLinkPair starts at a place of the lab's own, and passes over what the machine uses already.
func pickLinkPair(hash uint32, used func(netip.Addr) bool) (linkPair, error) {
	for i := range uint32(256) {
		if pair := linkPairAt(hash + i); !used(pair.Machine) && !used(pair.Control) {
			return pair, nil
		}
	}
	return linkPair{}, errors.New("no link-local address is free for the way to the API server")
}

// chooseHostLink returns addresses that no interface of the machine has a network for.
func chooseHostLink(p paths) (linkPair, error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return linkPair{}, fmt.Errorf("list addresses: %w", err)
	}
	return pickLinkPair(p.hash(), func(a netip.Addr) bool {
		for _, addr := range addrs {
			if addr.Contains(a.AsSlice()) {
				return true
			}
		}
		return false
	})
}

// addHostLink lets the machine reach the API server, for kubectl in any terminal. It vanishes with the control plane's
// network namespace.
func (l *Lab) addHostLink() error {
	name := l.paths.hostLink()
	control, err := netns.GetFromPath(l.namespace(Control, "net"))
	if err != nil {
		return err
	}
	defer control.Close()
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: name})
	veth.PeerName, veth.PeerNamespace = "machine", netlink.NsFd(control)
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	err = l.netlink(Control, func(h *netlink.Handle) error {
		return address(h, "machine", []netip.Prefix{netip.PrefixFrom(l.state.Link.Control, 30)})
	})
	if err != nil {
		return err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	return address(h, name, []netip.Prefix{netip.PrefixFrom(l.state.Link.Machine, 30)})
}

func removeHostLink(p paths) error {
	link, err := netlink.LinkByName(p.hostLink())
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove %s: %w", p.hostLink(), err)
	}
	return nil
}
