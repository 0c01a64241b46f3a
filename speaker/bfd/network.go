package bfd

import (
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"net/netip"
)

// Ports that packets are sent to (RFC 5881 section 4, RFC 5883 section 5), and that single sessions are sent from (RFC 5881 section 4).
const (
	singleHopPort = 3784
	multihopPort  = 4784
	firstSource   = 49152
	lastSource    = 65535
)

// maxTTL is what packets are sent with. One that arrives with it has crossed no router (RFC 5881 section 5, RFC 5082).
const maxTTL = 255

// network is what a Driver needs of the kernel.
type network interface {
	// listen hears the packets to a port, of one family, on all interfaces.
	listen(at endpoint) (listener, error)
	// dial sends what belongs to one session.
	dial(s Session) (sender, error)
	// index is that of the interface that a session is bound to, zero if it is to none.
	index(s Session) (int, error)
}

type listener interface {
	// receive waits for a packet.
	receive() (arrival, error)
	Close() error
}

type sender interface {
	send(packet []byte) error
	Close() error
}

// An endpoint is where packets arrive: sessions over one hop and over several have different ports.
type endpoint struct{ six, multihop bool }

func (e endpoint) port() int {
	if e.multihop {
		return multihopPort
	}
	return singleHopPort
}

func (s Session) endpoint() endpoint { return endpoint{s.Peer.Is6(), s.Multihop} }

// An arrival is a packet as it was heard.
type arrival struct {
	endpoint

	packet   Packet
	discard  Discard    // unless Accepted, packet is not to be used
	from, to netip.Addr // without zones
	link     int        // the index of the interface
	ttl      uint8
}

// fault is a listener that can hear no more.
type fault struct {
	endpoint

	listener listener
	err      error
}

func random() float64 { return mathrand.Float64() } //nolint:gosec // jitter need not be hard to guess

// number returns a discriminator that is hard to guess (RFC 5880 section 6.8.1): who knows it can speak for the peer.
func number() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:])
}
