package responder

import (
	"net"
	"net/netip"

	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// Desired is everything that a Responder is to do.
type Desired struct {
	Links     []link.Link
	Addresses []announce.Task
	// Retell has all addresses announced again when it grows, for neighbours
	// that may have missed what was announced, as after a partition.
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
