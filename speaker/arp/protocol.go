package arp

import (
	"net"
	"net/netip"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/sieve"
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
	offsetTarget    = 14 + 24
)

// Filter lets requests for the addresses through.
func (Protocol) Filter(addrs []netip.Addr) ([]bpf.RawInstruction, error) {
	return sieve.Program([]sieve.Field{{Offset: offsetOperation, Size: 2, Value: 1}}, offsetTarget, addrs)
}

// Answer answers a request for an address of ours. Who claims one rather than asks for it gets no answer.
func (Protocol) Answer(frame []byte, mac net.HardwareAddr, ours func(netip.Addr) bool) ([]byte, error) {
	r, err := parse(frame)
	if err != nil || !ours(r.target) || r.gratuitous() {
		return nil, err
	}
	return r.reply(mac)
}

// Claims returns the frames that tell all neighbours that an address is at mac.
func (Protocol) Claims(a netip.Addr, mac net.HardwareAddr) ([][]byte, error) { return claims(a, mac) }
