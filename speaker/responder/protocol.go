package responder

import (
	"net"
	"net/netip"

	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

// A Protocol says how neighbours ask for an address and how they are answered.
// Its methods are functions of values. Frames are whole Ethernet frames, and those that it
// makes come from the link's own MAC address, whichever they tell: a switch would learn
// from another that the host had moved here.
type Protocol interface {
	// Name is what users call the protocol.
	Name() string
	// EtherType is the type of its frames.
	EtherType() uint16
	// For reports whether the protocol is for addresses of this family.
	For(a netip.Addr) bool
	// Filter returns a kernel filter that lets questions for the addresses and claims of them
	// through, and little else: Parse looks closely.
	Filter(addrs []netip.Addr) ([]bpf.RawInstruction, error)
	// Groups returns the multicast groups that questions for the addresses are sent to, sorted.
	Groups(addrs []netip.Addr) []netip.Addr
	// Parse reads what a frame says of an address. The frame may be overwritten afterwards.
	Parse(frame []byte) (neighbour.Message, error)
	// Answer returns the answer to a question or probe that came in on a link with the
	// MAC address own: the address is at tell.
	Answer(q neighbour.Message, own, tell net.HardwareAddr) ([]byte, error)
	// Claims returns the frames that tell all neighbours that an address is at mac.
	Claims(a netip.Addr, mac net.HardwareAddr) ([][]byte, error)
	// Probe returns the frame by which a link with mac asks whether somebody has an address already.
	Probe(a netip.Addr, mac net.HardwareAddr) ([]byte, error)
}
