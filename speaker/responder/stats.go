package responder

import (
	"net/netip"
	"sync/atomic"
)

// Stats counts packets since the start.
type Stats struct {
	// Requests for our addresses and replies to them.
	Requests, Replies atomic.Uint64
	// Claims are packets that claim an address unasked. Refreshes are those of
	// them that were sent because it was time again.
	Claims, Refreshes atomic.Uint64
	// Probes are packets that ask whether somebody has an address of ours.
	Probes atomic.Uint64
	// Conflicts are sightings that were reported: claims of our addresses by others.
	Conflicts atomic.Uint64
	// Errors are packets that could not be sent.
	Errors atomic.Uint64
}

// Observed is what a Responder does.
type Observed struct {
	// Answering are the addresses that this node announces, and answers for on at least one link, sorted.
	Answering []netip.Addr
	// Sockets are open.
	Sockets int
	// Errors say of a link, by its name, why it is not served.
	Errors map[string]string
}
