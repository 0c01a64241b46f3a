package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dialPatience is how long a router may take to accept a connection.
const dialPatience = 5 * time.Second

// maxTTL is what packets are sent with that shall prove to come from nearby (RFC 5082).
const maxTTL = 255

// dial connects to a router as its peer says.
func dial(ctx context.Context, p Peer, to netip.Addr) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: dialPatience, Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error { return prepare(fd, p, to) })
	}}
	from := p.Source
	if !from.IsValid() {
		from = source(to)
	}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(to, p.Port).String())
	if of := new(net.OpError); errors.As(err, &of) {
		return nil, of.Err // the addresses are known
	}
	tcp, _ := conn.(*net.TCPConn) // what a Dialer makes for tcp
	return tcp, err
}

func control(c syscall.RawConn, do func(fd int) error) error {
	var err error
	if outer := c.Control(func(fd uintptr) { err = do(int(fd)) }); outer != nil {
		return outer
	}
	return err
}

// prepare sets the options of a socket before it connects.
func prepare(fd int, p Peer, to netip.Addr) error {
	level, ttl, least := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_MINTTL
	if to.Is6() {
		level, ttl, least = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_MINHOPCOUNT
	}
	switch {
	case p.TTLSecurity > 0:
		if err := unix.SetsockoptInt(fd, level, ttl, maxTTL); err != nil {
			return fmt.Errorf("set the TTL: %w", err)
		}
		if err := unix.SetsockoptInt(fd, level, least, maxTTL-p.TTLSecurity+1); err != nil {
			return fmt.Errorf("set the least TTL: %w", err)
		}
	case !p.Internal() && !p.MultiHop: // RFC 4271, section 5.1.3: an external peer is one hop away
		if err := unix.SetsockoptInt(fd, level, ttl, 1); err != nil {
			return fmt.Errorf("set the TTL: %w", err)
		}
	}
	if p.Password == "" {
		return nil
	}
	return sign(fd, to, p.Password)
}

// maxPassword is how long a password may be.
const maxPassword = unix.TCP_MD5SIG_MAXKEYLEN

// sign has the segments of a connection signed (RFC 2385).
func sign(fd int, to netip.Addr, password string) error {
	if len(password) > maxPassword {
		return fmt.Errorf("the password has %d bytes, at most %d can be used", len(password), maxPassword)
	}
	sig := unix.TCPMD5Sig{Keylen: uint16(len(password))}
	copy(sig.Key[:], password)
	if to.Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&sig.Addr)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.As4()} //nolint:gosec // the kernel's structure
	} else {
		*(*unix.RawSockaddrInet6)(unsafe.Pointer(&sig.Addr)) = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.As16()} //nolint:gosec // the same
	}
	if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, &sig); err != nil {
		return fmt.Errorf("set the password (TCP MD5): %w", err)
	}
	return nil
}
