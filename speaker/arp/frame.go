package arp

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

// parse reads what an Ethernet frame says of an IPv4 address. A reply claims its sender's
// address whoever it is sent to, and so does a request for the sender's own.
func parse(frame []byte) (neighbour.Message, error) {
	var f ethernet.Frame
	if err := f.UnmarshalBinary(frame); err != nil {
		return neighbour.Message{}, fmt.Errorf("ethernet: %w", err)
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(f.Payload); err != nil {
		return neighbour.Message{}, fmt.Errorf("arp: %w", err)
	}
	switch {
	case f.EtherType != ethernet.EtherTypeARP:
		return neighbour.Message{}, fmt.Errorf("ethertype %#04x: not ARP", uint16(f.EtherType))
	case p.HardwareType != 1 || p.ProtocolType != uint16(ethernet.EtherTypeIPv4) ||
		len(p.SenderHardwareAddr) != 6 || !p.SenderIP.Is4() || !p.TargetIP.Is4():
		return neighbour.Message{}, fmt.Errorf("hardware type %d, protocol %#04x: not Ethernet and IPv4", p.HardwareType, p.ProtocolType)
	}
	m := neighbour.Message{Addr: p.TargetIP, MAC: p.SenderHardwareAddr, Sender: p.SenderIP}
	switch {
	case p.Operation == arp.OperationReply, p.Operation == arp.OperationRequest && p.SenderIP == p.TargetIP:
		m.Kind, m.Addr = neighbour.Claim, p.SenderIP
	case p.Operation != arp.OperationRequest:
		return neighbour.Message{}, fmt.Errorf("operation %d: neither a request nor a reply", p.Operation)
	case p.SenderIP.IsUnspecified(): // RFC 5227, section 1.1
		m.Kind = neighbour.Probe
	}
	return m, nil
}

// party is the sender or the target of an ARP packet.
type party struct {
	mac net.HardwareAddr
	ip  netip.Addr
}

// nobody is the target's MAC address in a request.
var nobody = make(net.HardwareAddr, 6)

// answer answers a question that came in on a link with a MAC address of its own: the address is at tell.
func answer(q neighbour.Message, own, tell net.HardwareAddr) ([]byte, error) {
	return marshal(arp.OperationReply, own, q.MAC, party{tell, q.Addr}, party{q.MAC, q.Sender})
}

// claims returns the frames that tell all neighbours that an address is at mac.
// Some devices listen to the request form only (RFC 5944, section 4.6, allows both),
// and Linux ignores a reply form for a young entry unless its target MAC is the sender's.
func claims(a netip.Addr, mac net.HardwareAddr) ([][]byte, error) {
	ask, err := marshal(arp.OperationRequest, mac, ethernet.Broadcast, party{mac, a}, party{nobody, a})
	if err != nil {
		return nil, err
	}
	tell, err := marshal(arp.OperationReply, mac, ethernet.Broadcast, party{mac, a}, party{mac, a})
	if err != nil {
		return nil, err
	}
	return [][]byte{ask, tell}, nil
}

// probe returns the frame that asks whether somebody has an address. It has no sender's
// address, so that nobody takes it for a claim (RFC 5227, section 1.1).
func probe(a netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	return marshal(arp.OperationRequest, mac, ethernet.Broadcast, party{mac, netip.IPv4Unspecified()}, party{nobody, a})
}

// marshal returns a frame. Its source is not always the sender that the packet tells of.
func marshal(op arp.Operation, source, to net.HardwareAddr, sender, target party) ([]byte, error) {
	p, err := arp.NewPacket(op, sender.mac, sender.ip, target.mac, target.ip)
	if err != nil {
		return nil, fmt.Errorf("arp: %w", err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("arp: %w", err)
	}
	f := ethernet.Frame{Destination: to, Source: source, EtherType: ethernet.EtherTypeARP, Payload: payload}
	return f.MarshalBinary()
}
