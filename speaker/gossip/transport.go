package gossip

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/errgroup"
)

// transport is UDP and TCP at one address. Memberlist's own makes a buffer of 64 KiB for each packet: with some
// tens of them a second, that is most of what the garbage collector of an idle speaker has to do.
type transport struct {
	at      netip.AddrPort
	udp     *udp
	tcp     *net.TCPListener
	packets chan *memberlist.Packet
	streams chan net.Conn
	group   errgroup.Group
	closing chan struct{}
	close   func() error
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

func newTransport(at netip.AddrPort) (*transport, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	udp, err := listenUDP(at)
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	t := &transport{
		at: at, udp: udp, tcp: tcp,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), closing: make(chan struct{}),
	}
	t.close = sync.OnceValue(func() error {
		close(t.closing)
		return errors.Join(t.udp.Close(), t.tcp.Close(), t.group.Wait())
	})
	return t, nil
}

// start receives until the transport is closed. The packets that are not memberlist's are for hear.
func (t *transport) start(hear func(packet []byte)) {
	t.group.Go(func() error { return t.repeat(t.receive(make([]byte, 1<<16), hear)) })
	t.group.Go(func() error { return t.repeat(t.accept) })
}

// repeat does something until the transport is closed. What fails is tried again: it may be for want of memory,
// or of file descriptors.
func (t *transport) repeat(do func() error) error {
	const pause = 100 * time.Millisecond
	for {
		err := do()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			time.Sleep(pause)
		}
	}
}

func (t *transport) receive(buffer []byte, hear func(packet []byte)) func() error {
	return func() error {
		n, from, err := t.udp.receive(buffer)
		if err != nil || n == 0 {
			return err
		}
		if buffer[0] == heartbeat {
			hear(buffer[:n])
			return nil
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: bytes.Clone(buffer[:n]), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}:
		case <-t.closing:
		}
		return nil
	}
}

func (t *transport) accept() error {
	c, err := t.tcp.Accept()
	if err != nil {
		return err
	}
	select {
	case t.streams <- c:
		return nil
	case <-t.closing:
		return c.Close()
	}
}

// FinalAdvertiseAddr is for memberlist, as all that follows.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.at.Addr().AsSlice(), int(t.at.Port()), nil
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *transport) StreamCh() <-chan net.Conn           { return t.streams }

func (t *transport) WriteTo(b []byte, to string) (time.Time, error) {
	at, err := netip.ParseAddrPort(to)
	if err != nil {
		return time.Time{}, err
	}
	return time.Now(), t.udp.send(b, at)
}

// send sends a packet that is not memberlist's. If it is lost, another follows.
func (t *transport) send(packet []byte, to netip.AddrPort) {
	_ = t.udp.send(packet, to)
}

func (t *transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, to.Addr)
}

func (t *transport) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	return d.DialContext(context.Background(), "tcp", to)
}

func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(to.Addr, timeout)
}

func (t *transport) Shutdown() error { return t.close() }
