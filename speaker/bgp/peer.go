package bgp

import (
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// A Peer is a router that this node is to have a session with.
type Peer struct {
	*config.Peer

	// Password of the session (TCP MD5, RFC 2385); empty for none.
	Password string
	// Fault says why there can be no session now, such as a password that is missing; empty for none.
	Fault string
}

// sameSession reports whether another form of a peer can do with the session that there is. How long to wait between attempts, and what
// is said of graceful restart the next time, does not need another.
func (p Peer) sameSession(o Peer) bool {
	return p.Fault == o.Fault && p.Password == o.Password &&
		p.MyASN == o.MyASN && p.LocalASN == o.LocalASN && p.PeerASN == o.PeerASN && p.Dynamic == o.Dynamic &&
		p.Address == o.Address && p.Interface == o.Interface && p.Port == o.Port && p.Source == o.Source &&
		p.HoldTime == o.HoldTime && p.Keepalive == o.Keepalive && p.MultiHop == o.MultiHop && p.TTLSecurity == o.TTLSecurity &&
		p.IPv4Unicast == o.IPv4Unicast && p.IPv6Unicast == o.IPv6Unicast
}

// asn is the AS number that is sent to the peer.
func (p Peer) asn() uint32 {
	if p.LocalASN != 0 {
		return p.LocalASN
	}
	return p.MyASN
}

// families are those that the session is to carry.
func (p Peer) families() []config.Family {
	var out []config.Family
	for _, f := range []config.Family{config.IPv4, config.IPv6} {
		if p.Carries(f) {
			out = append(out, f)
		}
	}
	return out
}

// State is that of a session (RFC 4271, section 8.2.2).
type State int

// The states of a session.
const (
	// Idle: there is no attempt to connect.
	Idle State = iota
	// Connect: the router is being dialled.
	Connect
	// Active: the router is going to be dialled again.
	Active
	// OpenSent: connected, the router's OPEN is awaited.
	OpenSent
	// OpenConfirm: the router's first KEEPALIVE is awaited.
	OpenConfirm
	// Established: routes are announced.
	Established
)

// String names a State as RFC 4271 does.
func (s State) String() string {
	return [...]string{"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"}[s]
}

// A Session is what is observed of the session with a peer.
type Session struct {
	Counters

	Peer string
	// Address of the router, with a zone if it is link-local; not valid while it is not known.
	Address netip.Addr
	// Local is the node's address; not valid without a connection.
	Local netip.Addr
	State State
	// Since is when State became what it is.
	Since time.Time
	// Error is why the session last ended or could not begin, in the peer's words where it sent some; empty for none since it was
	// last established.
	Error string
	// Routes is how many are announced to the router, in this session.
	Routes int
	// Graceful: the router keeps the routes while the speaker restarts.
	Graceful bool
}

// Counters count since the peer was wanted.
type Counters struct {
	// Sent and Received are messages of all types.
	Sent, Received uint64
	// Discarded are UPDATE messages of the router, which are not read.
	Discarded uint64
	// Established counts how often the session was.
	Established uint64
}
