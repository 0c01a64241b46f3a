//go:build linux

package measure

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// ARP is a raw socket of a host, which asks who has an address and hears the answers that are for it.
type ARP struct {
	conn   *packet.Conn
	mac    net.HardwareAddr
	ip     netip.Addr
	closed atomic.Bool
}

// An Answer says who has an address.
type Answer struct {
	Address netip.Addr
	MAC     string
	At      time.Time
}

// OpenARP opens a socket on an interface of a host.
func OpenARP(h *lab.Host, name string) (a *ARP, err error) {
	err = h.Do(func() error {
		a, err = openARP(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open ARP socket on %s of %s: %w", name, h.Name, err)
	}
	return a, nil
}

func openARP(name string) (*ARP, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	ip, err := firstIPv4(iface)
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(iface, packet.Raw, unix.ETH_P_ARP, nil)
	if err != nil {
		return nil, err
	}
	return &ARP{conn: conn, mac: iface.HardwareAddr, ip: ip}, nil
}

func firstIPv4(iface *net.Interface) (netip.Addr, error) {
	addrs, err := iface.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New("it has no IPv4 address")
}

// Close ends Hear as well.
func (a *ARP) Close() error {
	a.closed.Store(true)
	return a.conn.Close()
}

// Ask asks who has an address.
func (a *ARP) Ask(address netip.Addr) error {
	frame, err := request(a.mac, a.ip, address)
	if err != nil {
		return err
	}
	_, err = a.conn.WriteTo(frame, &packet.Addr{HardwareAddr: ethernet.Broadcast})
	if errors.Is(err, unix.ENOBUFS) {
		return nil // a storm may lose some
	}
	return err
}

// Claim tells all, by gratuitous ARP, that an address is at a MAC address, be it another host's.
func (a *ARP) Claim(address netip.Addr, mac net.HardwareAddr) error {
	p, err := arp.NewPacket(arp.OperationRequest, mac, address, net.HardwareAddr{0, 0, 0, 0, 0, 0}, address)
	if err != nil {
		return err
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	f := ethernet.Frame{Destination: ethernet.Broadcast, Source: a.mac, EtherType: ethernet.EtherTypeARP, Payload: payload}
	frame, err := f.MarshalBinary()
	if err != nil {
		return err
	}
	_, err = a.conn.WriteTo(frame, &packet.Addr{HardwareAddr: ethernet.Broadcast})
	return err
}

func request(mac net.HardwareAddr, from, address netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, mac, from, net.HardwareAddr{0, 0, 0, 0, 0, 0}, address)
	if err != nil {
		return nil, err
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, err
	}
	f := ethernet.Frame{Destination: ethernet.Broadcast, Source: mac, EtherType: ethernet.EtherTypeARP, Payload: payload}
	return f.MarshalBinary()
}

// Hear waits for the next answer. Its error is net.ErrClosed when the socket is closed.
func (a *ARP) Hear() (Answer, error) {
	buffer := make([]byte, 128)
	for {
		n, _, err := a.conn.ReadFrom(buffer)
		if err != nil && a.closed.Load() {
			return Answer{}, net.ErrClosed // the socket's own error says so by its text only
		}
		if err != nil {
			return Answer{}, err
		}
		if who, ok := parse(buffer[:n], a.mac); ok {
			who.At = time.Now()
			return who, nil
		}
	}
}

// parse reads a reply that is for mac: what nobody asked for is no answer.
func parse(frame []byte, mac net.HardwareAddr) (who Answer, ok bool) {
	var f ethernet.Frame
	var p arp.Packet
	if f.UnmarshalBinary(frame) != nil || p.UnmarshalBinary(f.Payload) != nil {
		return who, false
	}
	if p.Operation != arp.OperationReply || p.TargetHardwareAddr.String() != mac.String() {
		return who, false
	}
	return Answer{Address: p.SenderIP, MAC: p.SenderHardwareAddr.String()}, true
}
