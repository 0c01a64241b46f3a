package ndp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/ethernet"

	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

const (
	protocolICMP      = 58  // RFC 4443
	typeSolicitation  = 135 // RFC 4861, section 4.3
	typeAdvertisement = 136 // RFC 4861, section 4.4
	hopLimit          = 255 // no router has passed the packet on (RFC 4861, section 3.1)

	optionSourceLayer = 1 // source link-layer address (RFC 4861, section 4.6.1)
	optionTargetLayer = 2 // target link-layer address

	flagSolicited = 0x40 // in the first byte after the checksum (RFC 4861, section 4.4)
)

// Offsets into an Ethernet frame that carries a neighbour solicitation or advertisement.
const (
	offsetNextHeader = 14 + 6
	offsetHopLimit   = 14 + 7
	offsetICMP       = 14 + 40
	offsetTarget     = offsetICMP + 8
	offsetOptions    = offsetTarget + 16
)

var (
	errShort     = errors.New("too short for a neighbour solicitation or advertisement")
	errOther     = errors.New("neither a neighbour solicitation nor an advertisement")
	errRouted    = errors.New("hop limit is not 255")
	errChecksum  = errors.New("wrong checksum")
	errMulticast = errors.New("source or target is a multicast address")
	errProbe     = errors.New("no source address, but not sent to the solicited-node group or with a source link-layer address")
	errSolicited = errors.New("an answer to all is not solicited")
	errOption    = errors.New("an option is too short or too long")
)

// packet is an IPv6 packet that carries a neighbour solicitation or advertisement.
type packet struct {
	mac                         net.HardwareAddr // that the frame came from
	source, destination, target netip.Addr
	message                     []byte // ICMPv6
}

// parse reads a neighbour solicitation or advertisement out of an Ethernet frame, and checks
// what RFC 4861, sections 7.1.1 and 7.1.2, say is to be checked.
func parse(frame []byte) (neighbour.Message, error) {
	p, err := unpack(frame)
	if err != nil {
		return neighbour.Message{}, err
	}
	if p.message[0] == typeAdvertisement {
		return p.advertisement()
	}
	return p.solicitation()
}

// unpack checks what is common to both.
func unpack(frame []byte) (packet, error) {
	if len(frame) < offsetOptions {
		return packet{}, errShort
	}
	header := frame[14:offsetICMP]
	length := int(binary.BigEndian.Uint16(header[4:]))
	if length < offsetOptions-offsetICMP || length > len(frame)-offsetICMP {
		return packet{}, errShort
	}
	message := frame[offsetICMP : offsetICMP+length] // short frames are padded
	p := packet{
		mac:         frame[6:12],
		source:      netip.AddrFrom16([16]byte(header[8:24])),
		destination: netip.AddrFrom16([16]byte(header[24:40])),
		target:      netip.AddrFrom16([16]byte(message[8:24])),
		message:     message,
	}
	switch {
	case binary.BigEndian.Uint16(frame[12:]) != uint16(ethernet.EtherTypeIPv6), header[0]>>4 != 6, header[6] != protocolICMP,
		message[0] != typeSolicitation && message[0] != typeAdvertisement, message[1] != 0:
		return packet{}, errOther
	case header[7] != hopLimit:
		return packet{}, errRouted
	case checksum(p.source, p.destination, message) != 0:
		return packet{}, errChecksum
	case p.source.IsMulticast(), p.target.IsMulticast():
		return packet{}, errMulticast
	}
	return p, nil
}

// solicitation is a question, or a probe where the neighbour wants the address for itself (RFC 4862, section 5.4).
func (p *packet) solicitation() (neighbour.Message, error) {
	mac, err := linkLayer(p.message[24:], optionSourceLayer)
	m := neighbour.Message{Kind: neighbour.Question, Addr: p.target, MAC: slices.Clone(p.mac), Sender: p.source}
	switch {
	case err != nil:
		return neighbour.Message{}, err
	case p.source.IsUnspecified():
		m.Kind = neighbour.Probe
		if mac != nil || p.destination != solicitedNode(p.target) {
			return neighbour.Message{}, errProbe
		}
	case mac != nil:
		m.MAC = mac
	}
	return m, nil
}

// advertisement is a claim. Where it does not say where the address is, that is where it came
// from: the option may be left out of the answer to a unicast solicitation (RFC 4861, section 4.4).
func (p *packet) advertisement() (neighbour.Message, error) {
	mac, err := linkLayer(p.message[24:], optionTargetLayer)
	m := neighbour.Message{Kind: neighbour.Claim, Addr: p.target, MAC: slices.Clone(p.mac), Sender: p.source}
	switch {
	case err != nil:
		return neighbour.Message{}, err
	case p.destination.IsMulticast() && p.message[4]&flagSolicited != 0:
		return neighbour.Message{}, errSolicited
	case mac != nil:
		m.MAC = mac
	}
	return m, nil
}

// linkLayer returns the link-layer address among the options of a message; nil if
// there is none. A group's address is not one.
func linkLayer(options []byte, kind byte) (net.HardwareAddr, error) {
	var found net.HardwareAddr
	for len(options) > 0 {
		if len(options) < 2 {
			return nil, errOption
		}
		length := 8 * int(options[1])
		if length == 0 || length > len(options) {
			return nil, errOption
		}
		if options[0] == kind && length == 8 && options[2]&1 == 0 {
			found = slices.Clone(options[2:8])
		}
		options = options[length:]
	}
	return found, nil
}

// checksum returns the ICMPv6 checksum of a message; 0 if the one in it is right (RFC 4443, section 2.3).
func checksum(source, destination netip.Addr, message []byte) uint16 {
	s, d := source.As16(), destination.As16()
	sum := uint32(len(message)) + protocolICMP
	for _, part := range [][]byte{s[:], d[:], message} {
		for ; len(part) > 1; part = part[2:] {
			sum += uint32(part[0])<<8 | uint32(part[1])
		}
		if len(part) == 1 {
			sum += uint32(part[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// solicitedNode returns the group that solicitations for an address are sent to (RFC 4291, section 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}
