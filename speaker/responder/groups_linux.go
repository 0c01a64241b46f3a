package responder

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// groups are the IPv6 multicast groups that a link is a member of, twice: the
// packet socket has the network card let their frames in, whatever becomes
// of IPv6 on the link, and another socket has the kernel report them by MLD, without
// which switches that snoop forward nothing.
type groups struct {
	index  int // of the link
	packet *packet.Conn
	// joined says which socket is a member of a group.
	joined map[netip.Addr]int
	// sockets are the file descriptors of UDP sockets that are never bound: they
	// receive nothing, and need no privilege. There are several because the kernel limits
	// the memberships of one (net.core.optmem_max): about 360 with 20 KiB, 2,300 with 128.
	sockets []int
}

func newGroups(index int, c *packet.Conn) *groups {
	return &groups{index: index, packet: c, joined: map[netip.Addr]int{}}
}

// set leaves and joins until the link is a member of the given groups, sorted.
func (g *groups) set(want []netip.Addr) error {
	for a, fd := range g.joined {
		if _, ok := slices.BinarySearchFunc(want, a, netip.Addr.Compare); ok {
			continue
		}
		// An error can only mean that the link is gone, and the membership with it.
		_ = g.packet.LeaveGroup(ethernet(a))
		_ = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, g.request(a))
		delete(g.joined, a)
	}
	for _, a := range want {
		if _, ok := g.joined[a]; ok {
			continue
		}
		fd, err := g.join(a)
		if err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		if err := g.packet.JoinGroup(ethernet(a)); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		g.joined[a] = fd
	}
	return nil
}

// join joins a group with the latest socket that can still join one, and returns it.
func (g *groups) join(a netip.Addr) (int, error) {
	for _, fd := range slices.Backward(g.sockets) {
		err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, g.request(a))
		if !errors.Is(err, unix.ENOMEM) {
			return fd, err
		}
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	g.sockets = append(g.sockets, fd)
	return fd, unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, g.request(a))
}

func (g *groups) request(a netip.Addr) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: a.As16(), Interface: uint32(g.index)}
}

// close leaves all groups.
func (g *groups) close() error {
	var errs []error
	for _, fd := range g.sockets {
		errs = append(errs, unix.Close(fd))
	}
	g.sockets, g.joined = nil, nil
	return errors.Join(errs...)
}

// ethernet returns the Ethernet address of an IPv6 multicast group (RFC 2464, section 7).
func ethernet(group netip.Addr) net.HardwareAddr {
	b := group.As16()
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}
