// Package neighbour has what neighbours on a link say to each other of addresses, whatever
// the protocol they say it in. How each protocol puts it is left to packages arp and ndp,
// what becomes of it to package responder.
package neighbour

import (
	"net"
	"net/netip"
)

// Kind is what a Message is.
type Kind int

const (
	// Question asks where an address is.
	Question Kind = iota
	// Probe asks the same, but by somebody who has no address yet and wants to have this one.
	Probe
	// Claim says that an address is at a MAC address.
	Claim
)

// A Message is what a frame says of an address.
type Message struct {
	Kind Kind
	// Addr is the address that is asked for, wanted or claimed.
	Addr netip.Addr
	// MAC is where the address is, of a Claim; else where to send the answer to.
	MAC net.HardwareAddr
	// Sender is the address of who asks; unspecified in a Probe, and of no use in a Claim.
	Sender netip.Addr
}
