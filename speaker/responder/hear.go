package responder

import (
	"bytes"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

// claim is a neighbour's of an address in the table of a socket: a
// neighbour.Claim, or, while we probe for the address, a neighbour.Probe.
type claim struct {
	neighbour.Message
	socket *socket
}

const (
	// defendInterval is how long an address that was defended is not defended
	// again (RFC 5227, section 2.4(b)): two who insist would fill the link.
	defendInterval = 10 * time.Second
	// defendAfter is how long it is not defended at all: in a hand-over the
	// successor may claim it before this node has heard of that, and neighbours
	// would be called back, and off again.
	defendAfter = 500 * time.Millisecond
)

// hear takes the consequences of a claim.
func (l *loop) hear(c claim) {
	e := (*c.socket.table.Load())[c.Addr]
	if !l.current(c.socket) || e == nil {
		return
	}
	v, now := e.voice.Load(), time.Now()
	switch {
	case v == nil, c.Kind == neighbour.Probe && !v.probing: // it has changed since
	case l.macs[string(c.MAC)]: // we hear ourselves, perhaps over another link
	case e.mode == announce.Yielding:
		e.voice.Store(nil)
	case v.probing: // RFC 5227, section 2.1.1
		e.voice.Store(nil)
		l.schedule.drop(target{c.socket.link.Index, c.Addr})
		l.see(c, true)
		l.observe()
	case e.mode == announce.Standin && bytes.Equal(c.MAC, v.mac): // the one that it is answered for
	default:
		if e.mode.Announced() && now.Sub(e.defended) >= defendInterval {
			e.defended = now
			l.schedule.hasten(target{c.socket.link.Index, c.Addr}, now.Add(defendAfter))
		}
		if e.sight(c.MAC, now) {
			l.see(c, false)
		}
	}
}

func (l *loop) see(c claim, probing bool) {
	l.Stats.Conflicts.Add(1)
	l.options.Seen(Sighting{Addr: c.Addr, Link: c.socket.link.Name, MAC: c.MAC, Probing: probing})
}
