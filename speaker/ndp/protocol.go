package ndp

import (
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/filter"
	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

// Protocol is NDP, for a responder.
type Protocol struct{}

// Name returns NDP.
func (Protocol) Name() string { return "NDP" }

// EtherType returns that of IPv6 frames.
func (Protocol) EtherType() uint16 { return uint16(ethernet.EtherTypeIPv6) }

// For reports whether an address is an IPv6 one.
func (Protocol) For(a netip.Addr) bool { return a.Is6() && !a.Is4In6() }

// Groups returns the solicited-node groups of addresses (RFC 4291, section 2.7.1).
// All that end in the same 24 bits share one.
func (Protocol) Groups(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		out = append(out, solicitedNode(a))
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// Filter lets solicitations for the addresses and advertisements of them through. A raw ICMPv6 socket
// would not do: it sees none that is sent to the address itself, by which neighbours find out
// whether we are still there (RFC 4861, section 7.3), since the kernel does not have it.
func (Protocol) Filter(addrs []netip.Addr) ([]bpf.RawInstruction, error) {
	message := func(kind uint32) filter.Kind {
		return filter.Kind{Field: filter.Field{Offset: offsetICMP, Size: 2, Value: kind << 8}, Target: offsetTarget} // and code 0
	}
	return filter.Program([]filter.Field{
		{Offset: offsetNextHeader, Size: 1, Value: protocolICMP},
		{Offset: offsetHopLimit, Size: 1, Value: hopLimit},
	}, []filter.Kind{message(typeSolicitation), message(typeAdvertisement)}, addrs)
}

// Parse reads what a frame says of an address.
func (Protocol) Parse(frame []byte) (neighbour.Message, error) { return parse(frame) }

// Answer answers a question that came in on a link with the MAC address own: the address is at tell.
func (Protocol) Answer(q neighbour.Message, own, tell net.HardwareAddr) ([]byte, error) {
	return answer(q, own, tell)
}

// Claims returns the frame that tells all neighbours that an address is at mac.
func (Protocol) Claims(a netip.Addr, mac net.HardwareAddr) ([][]byte, error) {
	f, err := claim(a, mac)
	return [][]byte{f}, err
}

// Probe returns the frame by which a link with mac asks whether somebody has an address already.
func (Protocol) Probe(a netip.Addr, mac net.HardwareAddr) ([]byte, error) { return probe(a, mac) }
