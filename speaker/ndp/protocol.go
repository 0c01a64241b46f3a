package ndp

import (
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/sieve"
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

// Filter lets solicitations for the addresses through. A raw ICMPv6 socket would not do: it
// sees none that is sent to the address itself, by which neighbours find out
// whether we are still there (RFC 4861, section 7.3), since the kernel does not have it.
func (Protocol) Filter(addrs []netip.Addr) ([]bpf.RawInstruction, error) {
	return sieve.Program([]sieve.Field{
		{Offset: offsetNextHeader, Size: 1, Value: protocolICMP},
		{Offset: offsetHopLimit, Size: 1, Value: hopLimit},
		{Offset: offsetICMP, Size: 2, Value: typeSolicitation << 8}, // and code 0
	}, offsetTarget, addrs)
}

// Answer answers a solicitation for an address of ours.
func (Protocol) Answer(frame []byte, mac net.HardwareAddr, ours func(netip.Addr) bool) ([]byte, error) {
	s, err := parse(frame)
	if err != nil || !ours(s.target) {
		return nil, err
	}
	return s.answer(mac)
}

// Claims returns the frame that tells all neighbours that an address is at mac.
func (Protocol) Claims(a netip.Addr, mac net.HardwareAddr) ([][]byte, error) {
	f, err := advertise(a, mac, allNodes, allNodesMAC, false)
	return [][]byte{f}, err
}
