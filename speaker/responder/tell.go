package responder

import (
	"sync/atomic"
	"time"
)

// breath is the least time to wait for more budget, so that what is sent then is not one packet.
const breath = 10 * time.Millisecond

// tell does what is due as far as the budget goes, and returns how long to wait for more to do.
func (l *loop) tell() time.Duration {
	now := time.Now()
	for j := l.schedule.due(now); j != nil; j = l.schedule.due(now) {
		s := l.sockets[j.target.link]
		frames := l.frames(s, j)
		if wait := l.afford(len(frames), now); wait > 0 {
			return wait
		}
		for _, f := range frames {
			s.send(f, l.Stats.counters(j.next().act)...)
		}
		if j.next().act == actSettle {
			(*s.table.Load())[j.target.addr].voice.Store(&voice{mac: s.link.MAC})
		}
		l.schedule.done(j, now)
	}
	return l.schedule.wait(now)
}

// frames returns what the next step of a job sends.
func (l *loop) frames(s *socket, j *job) [][]byte {
	var out [][]byte
	var err error
	switch j.next().act {
	case actClaim, actRefresh:
		out, err = l.protocol.Claims(j.target.addr, s.link.MAC)
		if j.urgency == routine && err == nil {
			out = out[j.refreshes%len(out):][:1] // one form of a claim at a time is enough
		}
	case actProbe:
		var f []byte
		f, err = l.protocol.Probe(j.target.addr, s.link.MAC)
		out = [][]byte{f}
	case actSettle:
	}
	if err != nil {
		l.options.Log.Error(err, "making frames that tell of an address", "address", j.target.addr)
		return nil
	}
	return out
}

// counters are those that a packet of an act counts for.
func (s *Stats) counters(a act) []*atomic.Uint64 {
	switch a {
	case actClaim:
		return []*atomic.Uint64{&s.Claims}
	case actRefresh:
		return []*atomic.Uint64{&s.Claims, &s.Refreshes}
	case actProbe:
		return []*atomic.Uint64{&s.Probes}
	case actSettle:
	}
	return nil
}

// afford takes packets from the budget, and returns 0; or how long to wait for what is lacking.
func (l *loop) afford(packets int, now time.Time) time.Duration {
	b := l.options.Budget
	packets = min(packets, b.Burst()) // more would never be allowed
	if b.AllowN(now, packets) {
		return 0
	}
	// Not by a reservation: one that is cancelled does not give back all where several share a budget.
	lack := (float64(packets) - b.TokensAt(now)) / float64(b.Limit())
	return max(breath, time.Duration(min(lack, 1)*float64(time.Second)))
}

// retell has all addresses announced again. Those that are still probed for are announced anyway.
func (l *loop) retell() {
	now := time.Now()
	for i, s := range l.sockets {
		for a, e := range *s.table.Load() {
			if v := e.voice.Load(); e.mode.Announced() && v != nil && !v.probing {
				l.schedule.restart(target{i, a}, retold, now)
			}
		}
	}
}
