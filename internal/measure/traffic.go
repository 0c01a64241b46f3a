package measure

import (
	"encoding/binary"
	"net/netip"
)

// GossipPort is where speakers talk to each other, by UDP and TCP.
const GossipPort = 9478

// Traffic counts packets on a link, in both directions.
type Traffic struct {
	// Gossip is between speakers, and GossipBytes their size on the wire.
	Gossip, GossipBytes int
	// Neighbour is ARP and NDP about addresses of the networks that were named.
	Neighbour int
}

// add counts a frame.
func (t *Traffic) add(frame []byte, networks []netip.Prefix) {
	switch about, kind := classify(frame); kind {
	case gossip:
		t.Gossip++
		t.GossipBytes += len(frame)
	case neighbour:
		for _, n := range networks {
			if n.Contains(about) {
				t.Neighbour++
				return
			}
		}
	case other:
	}
}

type kind int

const (
	other kind = iota
	gossip
	neighbour
)

// Lengths and numbers of the protocols that are counted.
const (
	ethernetHeader = 14
	ipv6Header     = 40
	typeIPv4       = 0x0800
	typeARP        = 0x0806
	typeIPv6       = 0x86dd
	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58
	solicitation   = 135 // RFC 4861 4.3
	advertisement  = 136 // RFC 4861 4.4
)

// classify says what a frame is, and for ARP and NDP which address it asks for or claims. Nobody on the lab's
// links uses tags, options or extension headers for what is counted, but IPv4's header says its own length.
func classify(frame []byte) (about netip.Addr, k kind) {
	if len(frame) < ethernetHeader {
		return about, other
	}
	body := frame[ethernetHeader:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeARP:
		if len(body) < 28 {
			return about, other
		}
		// RFC 826: the target of a request, the sender of a reply. Who claims an address writes it into both.
		at := 24
		if binary.BigEndian.Uint16(body[6:]) == 2 {
			at = 14
		}
		return netip.AddrFrom4([4]byte(body[at:])), neighbour
	case typeIPv4:
		if len(body) < 20 {
			return about, other
		}
		return about, ports(body[9], body[min(int(body[0]&15)*4, len(body)):])
	case typeIPv6:
		if len(body) < ipv6Header {
			return about, other
		}
		protocol, rest := body[6], body[ipv6Header:]
		if protocol == protocolICMPv6 && len(rest) >= 24 && (rest[0] == solicitation || rest[0] == advertisement) {
			return netip.AddrFrom16([16]byte(rest[8:])), neighbour
		}
		return about, ports(protocol, rest)
	}
	return about, other
}

func ports(protocol byte, segment []byte) kind {
	if (protocol != protocolTCP && protocol != protocolUDP) || len(segment) < 4 {
		return other
	}
	if binary.BigEndian.Uint16(segment) == GossipPort || binary.BigEndian.Uint16(segment[2:]) == GossipPort {
		return gossip
	}
	return other
}
