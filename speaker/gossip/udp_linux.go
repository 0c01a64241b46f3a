package gossip

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udp is a UDP socket whose system calls bypass Go's scheduler. They never block, and are short. Of any other
// call it tells the thread that looks for long ones (sysmon), which then wakes every few microseconds until all is at rest again:
// that took as much CPU as an idle speaker's heartbeats.
type udp struct {
	conn *net.UDPConn
	raw  syscall.RawConn
}

func listenUDP(at netip.AddrPort) (*udp, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &udp{conn, raw}, nil
}

// receive waits for a packet. Of one that is longer than the buffer the rest is lost.
func (u *udp) receive(b []byte) (n int, from netip.AddrPort, err error) {
	var sa unix.RawSockaddrAny
	err = await(u.raw, "recvfrom", func(fd uintptr) (errno syscall.Errno) {
		size := uint32(unix.SizeofSockaddrAny)
		var r uintptr
		r, _, errno = unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
		n = int(r)
		return errno
	})
	if err != nil {
		return 0, from, err
	}
	return n, addrPort(&sa), nil
}

// await makes a system call each time that there may be something to read, until there is.
func await(raw syscall.RawConn, name string, call func(fd uintptr) syscall.Errno) error {
	var errno syscall.Errno
	err := raw.Read(func(fd uintptr) bool {
		errno = call(fd)
		return errno != unix.EAGAIN
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError(name, errno)
	}
	return err
}

// send sends a packet, or fails where it would have to wait.
func (u *udp) send(b []byte, to netip.AddrPort) error {
	sa, size := sockaddr(to)
	var errno syscall.Errno
	err := u.raw.Control(func(fd uintptr) {
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&sa)), size)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("sendto", errno)
	}
	return err
}

func (u *udp) Close() error { return u.conn.Close() }

// port is one of a socket address: in network byte order, whatever the machine's.
func port(p *uint16) []byte { return (*[2]byte)(unsafe.Pointer(p))[:] }

// sockaddr is an address as the kernel reads it.
func sockaddr(a netip.AddrPort) (sa unix.RawSockaddrAny, size uintptr) {
	if a.Addr().Is4() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
		in.Family, in.Addr = unix.AF_INET, a.Addr().As4()
		binary.BigEndian.PutUint16(port(&in.Port), a.Port())
		return sa, unix.SizeofSockaddrInet4
	}
	in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&sa))
	in.Family, in.Addr = unix.AF_INET6, a.Addr().As16()
	binary.BigEndian.PutUint16(port(&in.Port), a.Port())
	return sa, unix.SizeofSockaddrInet6
}

func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), binary.BigEndian.Uint16(port(&in.Port)))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr), binary.BigEndian.Uint16(port(&in.Port)))
	default:
		return netip.AddrPort{}
	}
}
