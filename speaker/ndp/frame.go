package ndp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

var (
	allNodes    = netip.IPv6LinkLocalAllNodes()
	allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1} // RFC 2464, section 7
)

// answer answers a question that came in on a link with a MAC address of its own: the address is
// at tell. Who has no address yet is answered together with all others (RFC 4861, section 7.2.4).
func answer(q neighbour.Message, own, tell net.HardwareAddr) ([]byte, error) {
	if q.Kind == neighbour.Probe {
		return marshal(advertisement(q.Addr, tell, false), own, q.Addr, allNodes, allNodesMAC)
	}
	return marshal(advertisement(q.Addr, tell, true), own, q.Addr, q.Sender, q.MAC)
}

// claim returns the frame that tells all neighbours that an address is at mac.
func claim(a netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	return marshal(advertisement(a, mac, false), mac, a, allNodes, allNodesMAC)
}

// probe returns the frame that asks whether somebody has an address: without a source, so that nobody
// takes it for a claim, and so without an option that says where that is (RFC 4862, section 5.4.2).
func probe(a netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	group := solicitedNode(a)
	b := group.As16()
	toMAC := net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]} // RFC 2464, section 7
	return marshal(&ndp.NeighborSolicitation{TargetAddress: a}, mac, netip.IPv6Unspecified(), group, toMAC)
}

// advertisement says that an address is at mac. It always overrides what is
// known: without that an address would not move (RFC 4861, section 7.2.5).
func advertisement(a netip.Addr, mac net.HardwareAddr, solicited bool) ndp.Message {
	return &ndp.NeighborAdvertisement{
		Solicited: solicited, Override: true, TargetAddress: a,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}
}

// marshal returns a frame from mac and source to others. It is not always mac that the message tells of.
func marshal(m ndp.Message, mac net.HardwareAddr, source, to netip.Addr, toMAC net.HardwareAddr) ([]byte, error) {
	message, err := ndp.MarshalMessageChecksum(m, source, to)
	if err != nil {
		return nil, fmt.Errorf("ndp: %w", err)
	}
	header := make([]byte, 40, 40+len(message)) // RFC 8200, section 3
	header[0] = 6 << 4
	binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
	header[6], header[7] = protocolICMP, hopLimit
	copy(header[8:], source.AsSlice())
	copy(header[24:], to.AsSlice())
	f := ethernet.Frame{Destination: toMAC, Source: mac, EtherType: ethernet.EtherTypeIPv6, Payload: append(header, message...)}
	return f.MarshalBinary()
}
