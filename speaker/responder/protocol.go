package responder

import (
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
)

// A Protocol says how neighbours ask for an address and how they are answered.
// Its methods are functions of values. Frames are whole Ethernet frames.
type Protocol interface {
	// Name is what users call the protocol.
	Name() string
	// EtherType is the type of its frames.
	EtherType() uint16
	// For reports whether the protocol is for addresses of this family.
	For(a netip.Addr) bool
	// Filter returns a kernel filter that lets questions for the addresses through, and
	// little else: Answer looks closely.
	Filter(addrs []netip.Addr) ([]bpf.RawInstruction, error)
	// Groups returns the multicast groups that questions for the addresses are sent to, sorted.
	Groups(addrs []netip.Addr) []netip.Addr
	// Answer returns the answer to a frame from a link that has mac; nil where there
	// is none because it does not ask for an address of ours.
	Answer(frame []byte, mac net.HardwareAddr, ours func(netip.Addr) bool) ([]byte, error)
	// Claims returns the frames that tell all neighbours that an address is at mac.
	Claims(a netip.Addr, mac net.HardwareAddr) ([][]byte, error)
}
