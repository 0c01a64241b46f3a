package responder

import (
	"maps"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// table are the addresses that a socket answers for. It is never changed, what is in it is.
type table map[netip.Addr]*address

// address is one that a socket answers for. But for its voice it belongs to the loop.
type address struct {
	mode announce.Mode
	// insists is as in the task.
	insists uint64
	// voice is nil where the address is not answered for any more, because somebody else has it.
	voice atomic.Pointer[voice]
	// seen are the claimants, by MAC, that were reported lately.
	seen map[string]time.Time
	// defended is when the address was last claimed because somebody else had done so.
	defended time.Time
}

// voice is the answer to those who ask for an address. Not to be changed.
type voice struct {
	mac     net.HardwareAddr
	probing bool // so that others who probe are rivals
}

// turn has an address answered for in the way that is desired from now on. What goes on already goes on undisturbed.
func (l *loop) turn(s *socket, e *address, a *announce.Task) {
	was, v, t := e.mode, e.voice.Load(), target{s.link.Index, a.Addr}
	same := was == a.Mode && e.insists == a.Insists
	e.mode, e.insists = a.Mode, a.Insists
	switch a.Mode {
	case announce.Own, announce.Fresh:
		if v != nil && was.Announced() || v == nil && same {
			return
		}
		e.voice.Store(&voice{mac: s.link.MAC, probing: a.Mode == announce.Fresh})
		if a.Mode == announce.Fresh {
			l.schedule.start(t, fresh, time.Now())
		} else {
			l.schedule.start(t, gained, time.Now())
		}
	case announce.Yielding:
		// Who stood in goes on to give the same answer: traffic was never this node's.
		l.schedule.drop(t)
		if v != nil && v.probing {
			e.voice.Store(&voice{mac: v.mac})
		}
	case announce.Standin:
		l.schedule.drop(t)
		e.voice.Store(&voice{mac: a.MACs[s.link.Name]})
	}
}

const (
	// resight is how long a claimant is not reported again.
	resight = time.Second
	// maxClaimants is how many are reported in that time, for an address.
	maxClaimants = 8
)

// sight reports whether to tell of a claimant now.
func (e *address) sight(mac net.HardwareAddr, now time.Time) bool {
	maps.DeleteFunc(e.seen, func(_ string, at time.Time) bool { return now.Sub(at) >= resight })
	if _, told := e.seen[string(mac)]; told || len(e.seen) == maxClaimants {
		return false
	}
	if e.seen == nil {
		e.seen = map[string]time.Time{}
	}
	e.seen[string(mac)] = now
	return true
}
