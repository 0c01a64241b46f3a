package bfd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernel is the network of the host.
type kernel struct{}

// internetControl is the DSCP of routing protocols (CS6, RFC 4594 section 3.2), shifted into the traffic class.
const internetControl = 48 << 2

// option is a socket option, for IPv4 and for IPv6.
type option struct{ level4, name4, level6, name6, value int }

func (k kernel) listen(at endpoint) (listener, error) {
	conn, err := open(at.six, netip.AddrPortFrom(unspecified(at.six), uint16(at.port())), "",
		option{unix.IPPROTO_IP, unix.IP_RECVTTL, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
		option{unix.IPPROTO_IP, unix.IP_PKTINFO, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1})
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("UDP port %d is in use: does another BFD (FRR's bfdd, BIRD) run on this node? %w", at.port(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on UDP port %d: %w", at.port(), err)
	}
	return &kernelListener{conn: conn, packet: make([]byte, 512), control: make([]byte, 256)}, nil
}

func unspecified(six bool) netip.Addr {
	if six {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// open opens a socket that sends with the greatest TTL.
func open(six bool, at netip.AddrPort, device string, more ...option) (*net.UDPConn, error) {
	options := append([]option{
		{unix.IPPROTO_IP, unix.IP_TTL, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, maxTTL},
		{unix.IPPROTO_IP, unix.IP_TOS, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, internetControl},
	}, more...)
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		controlErr := c.Control(func(fd uintptr) {
			for _, o := range options {
				level, name := o.level4, o.name4
				if six {
					level, name = o.level6, o.name6
				}
				err = errors.Join(err, unix.SetsockoptInt(int(fd), level, name, o.value))
			}
			if device != "" {
				err = errors.Join(err, unix.BindToDevice(int(fd), device))
			}
		})
		return errors.Join(controlErr, err)
	}}
	family := "udp4"
	if six {
		family = "udp6"
	}
	conn, err := config.ListenPacket(context.Background(), family, at.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil //nolint:forcetypeassert // ListenConfig makes no other for UDP
}

type kernelListener struct {
	conn            *net.UDPConn
	packet, control []byte
}

func (l *kernelListener) receive() (arrival, error) {
	n, c, _, from, err := l.conn.ReadMsgUDPAddrPort(l.packet, l.control)
	if err != nil {
		return arrival{}, err
	}
	in := arrival{from: from.Addr().Unmap().WithZone("")}
	in.note(l.control[:c])
	in.packet, in.discard = Parse(l.packet[:n])
	return in, nil
}

func (l *kernelListener) Close() error { return l.conn.Close() }

// note reads the control messages.
func (a *arrival) note(control []byte) {
	for len(control) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return
		}
		control = rest
		switch {
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_TTL, header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_HOPLIMIT:
			if len(data) >= 4 {
				a.ttl = uint8(binary.NativeEndian.Uint32(data))
			}
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO:
			if len(data) >= unix.SizeofInet4Pktinfo { // index, local address, address of the packet
				a.link = int(binary.NativeEndian.Uint32(data))
				a.to = netip.AddrFrom4([4]byte(data[8:12]))
			}
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO:
			if len(data) >= unix.SizeofInet6Pktinfo { // address of the packet, index
				a.to = netip.AddrFrom16([16]byte(data[:16]))
				a.link = int(binary.NativeEndian.Uint32(data[16:]))
			}
		}
	}
}

// dial binds a socket to a port of its own (RFC 5881 section 4).
func (k kernel) dial(s Session) (sender, error) {
	at := s.Local
	if !at.IsValid() {
		at = unspecified(s.Peer.Is6())
	}
	if at.Is6() && at.IsLinkLocalUnicast() && at.Zone() == "" {
		at = at.WithZone(s.device())
	}
	const ports = lastSource - firstSource + 1
	first := rand.IntN(ports) //nolint:gosec // any will do
	for try := range ports {
		conn, err := open(s.Peer.Is6(), netip.AddrPortFrom(at, uint16(firstSource+(first+try)%ports)), s.Interface)
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open a socket for BFD with %s: %w", s.Peer, err)
		}
		return k.sender(conn, s)
	}
	return nil, fmt.Errorf("open a socket for BFD with %s: all source ports are in use", s.Peer)
}

// device is the name of the interface that the session is bound to.
func (s Session) device() string {
	if s.Interface != "" {
		return s.Interface
	}
	return s.Peer.Zone()
}

func (k kernel) index(s Session) (int, error) {
	name := s.device()
	if name == "" {
		return 0, nil
	}
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("find interface %s: %w", name, err)
	}
	return link.Index, nil
}

// kernelSender has made all that a packet needs, so that to send one allocates nothing. Go's own way to send would look up the
// zone's name each time.
type kernelSender struct {
	conn   *net.UDPConn
	raw    syscall.RawConn
	to     unix.Sockaddr
	packet []byte
	err    error
	write  func(fd uintptr)
}

func (k kernel) sender(conn *net.UDPConn, s Session) (sender, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &kernelSender{conn: conn, raw: raw}
	if s.Peer.Is4() {
		c.to = &unix.SockaddrInet4{Port: s.endpoint().port(), Addr: s.Peer.As4()}
	} else {
		to := &unix.SockaddrInet6{Port: s.endpoint().port(), Addr: s.Peer.As16()}
		if s.Peer.IsLinkLocalUnicast() {
			index, err := k.index(s)
			if err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			to.ZoneId = uint32(index)
		}
		c.to = to
	}
	c.write = func(fd uintptr) { c.err = unix.Sendto(int(fd), c.packet, unix.MSG_DONTWAIT, c.to) }
	return c, nil
}

func (c *kernelSender) send(b []byte) error {
	c.packet = b
	if err := c.raw.Control(c.write); err != nil {
		return err
	}
	return c.err
}

func (c *kernelSender) Close() error { return c.conn.Close() }
