package ndp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ethernet"
)

const (
	protocolICMP      = 58  // RFC 4443
	typeSolicitation  = 135 // RFC 4861, section 4.3
	hopLimit          = 255 // no router has passed the packet on (RFC 4861, section 3.1)
	optionSourceLayer = 1   // source link-layer address (RFC 4861, section 4.6.1)
)

// Offsets into an Ethernet frame that carries a neighbour solicitation.
const (
	offsetNextHeader = 14 + 6
	offsetHopLimit   = 14 + 7
	offsetICMP       = 14 + 40
	offsetTarget     = offsetICMP + 8
	offsetOptions    = offsetTarget + 16
)

// solicitation asks where an address is.
type solicitation struct {
	// source is unspecified if the neighbour wants the address for itself, and
	// asks whether somebody has it (RFC 4862, section 5.4).
	source netip.Addr
	// mac is where to send the answer to.
	mac    net.HardwareAddr
	target netip.Addr
}

var (
	errShort     = errors.New("too short for a neighbour solicitation")
	errOther     = errors.New("not a neighbour solicitation")
	errRouted    = errors.New("hop limit is not 255")
	errChecksum  = errors.New("wrong checksum")
	errMulticast = errors.New("source or target is a multicast address")
	errProbe     = errors.New("no source address, but not sent to the solicited-node group or with a source link-layer address")
	errOption    = errors.New("an option is too short or too long")
)

// parse reads a neighbour solicitation out of an Ethernet frame, and checks
// what RFC 4861, section 7.1.1, says is to be checked.
func parse(frame []byte) (solicitation, error) {
	if len(frame) < offsetOptions {
		return solicitation{}, errShort
	}
	header := frame[14:offsetICMP]
	length := int(binary.BigEndian.Uint16(header[4:]))
	if length < offsetOptions-offsetICMP || length > len(frame)-offsetICMP {
		return solicitation{}, errShort
	}
	message := frame[offsetICMP : offsetICMP+length] // short frames are padded
	s := solicitation{
		source: netip.AddrFrom16([16]byte(header[8:24])),
		mac:    net.HardwareAddr(frame[6:12]),
		target: netip.AddrFrom16([16]byte(message[8:24])),
	}
	destination := netip.AddrFrom16([16]byte(header[24:40]))
	switch {
	case binary.BigEndian.Uint16(frame[12:]) != uint16(ethernet.EtherTypeIPv6), header[0]>>4 != 6,
		header[6] != protocolICMP, message[0] != typeSolicitation, message[1] != 0:
		return solicitation{}, errOther
	case header[7] != hopLimit:
		return solicitation{}, errRouted
	case checksum(s.source, destination, message) != 0:
		return solicitation{}, errChecksum
	case s.source.IsMulticast(), s.target.IsMulticast():
		return solicitation{}, errMulticast
	}
	mac, err := sourceLayer(message[24:])
	switch {
	case err != nil:
		return solicitation{}, err
	case s.source.IsUnspecified() && (mac != nil || destination != solicitedNode(s.target)):
		return solicitation{}, errProbe
	case mac != nil:
		s.mac = mac
	}
	return s, nil
}

// sourceLayer returns the source link-layer address among the options of a
// solicitation; nil if there is none. A group's address is not one.
func sourceLayer(options []byte) (net.HardwareAddr, error) {
	var found net.HardwareAddr
	for len(options) > 0 {
		if len(options) < 2 {
			return nil, errOption
		}
		length := 8 * int(options[1])
		if length == 0 || length > len(options) {
			return nil, errOption
		}
		if options[0] == optionSourceLayer && length == 8 && options[2]&1 == 0 {
			found = net.HardwareAddr(options[2:8])
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

// String says who asks for what.
func (s solicitation) String() string {
	return fmt.Sprintf("%s (%s) asks for %s", s.source, s.mac, s.target)
}
