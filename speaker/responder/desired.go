package responder

import (
	"net"
	"net/netip"

	"github.com/fairlead-lb/fairlead/speaker/link"
)

// Mode is how an address is answered for.
type Mode int

const (
	// Own is an address that this node announces: it claims it unasked when it gains it, and again
	// and again, and answers for it.
	Own Mode = iota
	// Fresh is the same, of an address that nobody has announced before: whether a stranger has it is asked
	// first. It is answered for meanwhile, as RFC 4429 has it, since that is what users wait for.
	Fresh
	// Yielding is an address that another node announces from now on. It is answered for where it was,
	// until that node's claim is seen there, and not claimed.
	Yielding
	// Standin is an address whose node announces it, but cannot answer now. It is answered
	// for with that node's MAC address, and not claimed.
	Standin
)

// announced reports whether this node is the one that announces the address.
func (m Mode) announced() bool { return m == Own || m == Fresh }

// An Address is one to answer for.
type Address struct {
	Addr  netip.Addr
	Links []string // names, sorted
	Mode  Mode
	// MACs to tell, by the name of the link; of a Standin only, which is not
	// answered for on links that are not in it.
	MACs map[string]net.HardwareAddr
}

// Desired is everything that a Responder is to do.
type Desired struct {
	Links     []link.Link
	Addresses []Address
	// Retell has all announced addresses told again when it grows, for neighbours
	// that may have missed what they were told, as after a partition.
	Retell uint64
}

// A Sighting is a frame in which somebody with another MAC claims an address that is answered for here.
type Sighting struct {
	Addr netip.Addr
	Link string // its name
	MAC  net.HardwareAddr
	// Probing tells that the address was being probed for. It is not answered for on
	// that link any more.
	Probing bool
}
