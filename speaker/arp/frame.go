package arp

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// request is an ARP request that a neighbour has sent.
type request struct {
	senderMAC net.HardwareAddr
	sender    netip.Addr
	target    netip.Addr
}

// parse reads an ARP request for an IPv4 address out of an Ethernet frame.
func parse(frame []byte) (request, error) {
	var f ethernet.Frame
	if err := f.UnmarshalBinary(frame); err != nil {
		return request{}, fmt.Errorf("ethernet: %w", err)
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(f.Payload); err != nil {
		return request{}, fmt.Errorf("arp: %w", err)
	}
	switch {
	case f.EtherType != ethernet.EtherTypeARP, p.Operation != arp.OperationRequest:
		return request{}, fmt.Errorf("operation %d of ethertype %#04x: not an ARP request", p.Operation, uint16(f.EtherType))
	case p.HardwareType != 1 || p.ProtocolType != uint16(ethernet.EtherTypeIPv4) ||
		len(p.SenderHardwareAddr) != 6 || !p.SenderIP.Is4() || !p.TargetIP.Is4():
		return request{}, fmt.Errorf("hardware type %d, protocol %#04x: not Ethernet and IPv4", p.HardwareType, p.ProtocolType)
	}
	return request{p.SenderHardwareAddr, p.SenderIP, p.TargetIP}, nil
}

// gratuitous reports whether the sender claims the address rather than asks for it.
func (r *request) gratuitous() bool { return r.sender == r.target }

// reply answers a request: the target is at mac.
func (r *request) reply(mac net.HardwareAddr) ([]byte, error) {
	return marshal(arp.OperationReply, mac, r.target, r.senderMAC, r.sender, r.senderMAC)
}

// claims returns the frames that tell all neighbours that an address is at mac.
// Some devices listen to the request form only (RFC 5944, section 4.6, allows both),
// and Linux ignores a reply form for a young entry unless its target MAC is the sender's.
func claims(a netip.Addr, mac net.HardwareAddr) ([][]byte, error) {
	ask, err := marshal(arp.OperationRequest, mac, a, make(net.HardwareAddr, 6), a, ethernet.Broadcast)
	if err != nil {
		return nil, err
	}
	tell, err := marshal(arp.OperationReply, mac, a, mac, a, ethernet.Broadcast)
	if err != nil {
		return nil, err
	}
	return [][]byte{ask, tell}, nil
}

func marshal(op arp.Operation, mac net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr, to net.HardwareAddr) ([]byte, error) {
	p, err := arp.NewPacket(op, mac, sender, targetMAC, target)
	if err != nil {
		return nil, fmt.Errorf("arp: %w", err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("arp: %w", err)
	}
	f := ethernet.Frame{Destination: to, Source: mac, EtherType: ethernet.EtherTypeARP, Payload: payload}
	return f.MarshalBinary()
}
