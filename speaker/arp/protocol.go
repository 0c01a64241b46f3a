package arp

import (
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/filter"
	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

// Protocol is ARP, for a responder.
type Protocol struct{}

// Name returns ARP.
func (Protocol) Name() string { return "ARP" }

// EtherType returns that of ARP frames.
func (Protocol) EtherType() uint16 { return uint16(ethernet.EtherTypeARP) }

// For reports whether an address is an IPv4 one.
func (Protocol) For(a netip.Addr) bool { return a.Is4() }

// Groups returns none: requests are broadcast.
func (Protocol) Groups([]netip.Addr) []netip.Addr { return nil }

// Offsets into an Ethernet frame that carries ARP for IPv4 (RFC 826).
const (
	offsetOperation = 14 + 6
	offsetSender    = 14 + 14
	offsetTarget    = 14 + 24
)

// Filter lets requests for the addresses and replies from them through.
func (Protocol) Filter(addrs []netip.Addr) ([]bpf.RawInstruction, error) {
	operation := func(op arp.Operation) filter.Field {
		return filter.Field{Offset: offsetOperation, Size: 2, Value: uint32(op)}
	}
	return filter.Program(nil, []filter.Kind{
		{Field: operation(arp.OperationRequest), Target: offsetTarget},
		{Field: operation(arp.OperationReply), Target: offsetSender},
	}, addrs)
}

// Parse reads what a frame says of an address.
func (Protocol) Parse(frame []byte) (neighbour.Message, error) { return parse(frame) }

// Answer answers a question that came in on a link with the MAC address own: the address is at tell.
func (Protocol) Answer(q neighbour.Message, own, tell net.HardwareAddr) ([]byte, error) {
	return answer(q, own, tell)
}

// Claims returns the frames that tell all neighbours that an address is at mac.
func (Protocol) Claims(a netip.Addr, mac net.HardwareAddr) ([][]byte, error) { return claims(a, mac) }

// Probe returns the frame by which a link with mac asks whether somebody has an address already.
func (Protocol) Probe(a netip.Addr, mac net.HardwareAddr) ([]byte, error) { return probe(a, mac) }
