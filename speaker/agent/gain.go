package agent

import (
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// Cause is why a node is to announce an address that it did not announce.
type Cause string

const (
	// CauseNew says that nobody has announced the address before.
	CauseNew Cause = "New"
	// CauseNodeLost says that the node that announced it is gone.
	CauseNodeLost Cause = "NodeLost"
	// CauseMoved says that another node announced it, which is there.
	CauseMoved Cause = "Moved"
	// CauseResumed says that this node announced it, before its speaker restarted or the address was without endpoints.
	CauseResumed Cause = "Resumed"
)

// A Gain is an address that this node is to announce from now on.
type Gain struct {
	Addr  netip.Addr
	Cause Cause
	// Since is when the speaker learned of that; of CauseNodeLost, when the former node was missed.
	Since time.Time
}

// gainOf says why this node announces an address of which this was decided.
func (w *world) gainOf(a netip.Addr, of []announce.Announcement, now time.Time) Gain {
	g := Gain{Addr: a, Cause: CauseMoved, Since: w.since}
	if g.Since.IsZero() {
		g.Since = now
	}
	s := w.services[of[0].Service]
	record := s.record()[a]
	switch {
	case of[0].Fresh:
		g.Cause = CauseNew
	case len(record) > 0 && record[0] == w.self:
		g.Cause = CauseResumed
	case w.replaces(a, of):
		g.Cause = CauseNodeLost
		if missed := w.gossip.Peers[record[0]].Missed; !missed.IsZero() {
			g.Since = missed
		}
	}
	return g
}
