package ndp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

var (
	allNodes    = netip.IPv6LinkLocalAllNodes()
	allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1} // RFC 2464, section 7
)

// answer answers a solicitation: the target is at mac. Who has no address yet is
// told together with all others (RFC 4861, section 7.2.4).
func (s solicitation) answer(mac net.HardwareAddr) ([]byte, error) {
	if s.source.IsUnspecified() {
		return advertise(s.target, mac, allNodes, allNodesMAC, false)
	}
	return advertise(s.target, mac, s.source, s.mac, true)
}

// advertise returns a frame that tells somebody that an address is at mac. It always overrides
// what they knew: without that an address would not move (RFC 4861, section 7.2.5).
func advertise(a netip.Addr, mac net.HardwareAddr, to netip.Addr, toMAC net.HardwareAddr, solicited bool) ([]byte, error) {
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Solicited: solicited, Override: true, TargetAddress: a,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}, a, to)
	if err != nil {
		return nil, fmt.Errorf("advertise %s: %w", a, err)
	}
	packet := make([]byte, 40, 40+len(message)) // RFC 8200, section 3
	packet[0] = 6 << 4
	binary.BigEndian.PutUint16(packet[4:], uint16(len(message)))
	packet[6], packet[7] = protocolICMP, hopLimit
	copy(packet[8:], a.AsSlice())
	copy(packet[24:], to.AsSlice())
	f := ethernet.Frame{Destination: toMAC, Source: mac, EtherType: ethernet.EtherTypeIPv6, Payload: append(packet, message...)}
	return f.MarshalBinary()
}
