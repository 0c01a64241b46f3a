package bfd

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// goodbye is how long to wait at the end for peers to take note of it. Who repeats it at its own pace needs less.
const goodbye = 2 * time.Second

// loop is the state of Run, which one goroutine owns.
type loop struct {
	*Driver
	sessions  map[string]*session // by name
	leaving   []*session          // those that are not wanted any more, until their peers know
	byNumber  map[uint32]*session
	byPeer    map[peerKey][]*session
	listeners map[endpoint]listener
	errs      map[endpoint]string // why there is no listener
	readers   sync.WaitGroup
	stop      chan struct{}
	heard     chan arrival
	failed    chan fault
	retry     time.Time // zero if all is well
	armed     time.Time // when the timer rings; zero if it is not set
	deaf      time.Time // until when it is not judged whether peers are silent
	end       time.Time // when Run gives up waiting for peers to take note; zero until then
	buffer    []byte
}

// peerKey finds the sessions that a packet without our discriminator may be for (RFC 5880 section 6.3).
type peerKey struct {
	endpoint

	peer netip.Addr // without zone
}

// session is one with its socket.
type session struct {
	Session
	*record

	machine Machine
	link    int // the index of the interface, zero if any will do
	sender  sender
	fault   string    // why it cannot be
	opening string    // why there is no sender
	sending string    // why the latest packet could not be sent
	until   time.Time // when to stop waiting for the peer to take note, once it is not wanted
}

func newLoop(d *Driver) *loop {
	return &loop{
		Driver: d, sessions: map[string]*session{}, byNumber: map[uint32]*session{}, byPeer: map[peerKey][]*session{},
		listeners: map[endpoint]listener{}, errs: map[endpoint]string{},
		stop: make(chan struct{}), heard: make(chan arrival), failed: make(chan fault), buffer: make([]byte, 0, size),
	}
}

func (s *session) peerKey() peerKey { return peerKey{s.endpoint(), s.Peer.WithZone("")} }

// converge makes the sessions those that are wanted.
func (l *loop) converge(now time.Time) {
	wanted := *l.desired.Load()
	keys := map[Session]string{}
	names := map[string]Session{}
	for _, w := range wanted {
		names[w.Name] = w
	}
	for name, s := range l.sessions {
		if w, ok := names[name]; !ok || w.key() != s.key() {
			l.remove(now, s)
		}
	}
	records := make([]*record, 0, len(names))
	for _, w := range wanted {
		if names[w.Name] != w {
			continue // the last of a name counts
		}
		s := l.sessions[w.Name]
		fresh := s == nil
		if fresh {
			s = l.add(now, w)
		}
		s.fault = w.fault()
		identity := w.key()
		identity.Name = ""
		if other, ok := keys[identity]; ok && s.fault == "" {
			s.fault = fmt.Sprintf("it is the same session as that of %s", other)
		}
		keys[identity] = w.Name
		s.Profile = w.Profile
		s.machine.Configure(now, w.Profile)
		records = append(records, s.record)
		if fresh {
			l.tell(now, s, true)
		}
	}
	l.observed.Store(&records)
	l.open(now)
}

func (l *loop) add(now time.Time, w Session) *session {
	n := l.number()
	for n == 0 || l.byNumber[n] != nil {
		n = l.number()
	}
	s := &session{Session: w, record: &record{}, machine: NewMachine(n, w.Profile)}
	s.status.Store(&Status{Name: w.Name, State: Down, RemoteState: Down, Since: now, Local: n})
	l.sessions[w.Name], l.byNumber[n] = s, s
	k := s.peerKey()
	l.byPeer[k] = append(l.byPeer[k], s)
	return s
}

// remove ends a session, and says so to the peer.
func (l *loop) remove(now time.Time, s *session) {
	delete(l.sessions, s.Name)
	k := s.peerKey()
	var rest []*session
	for _, o := range l.byPeer[k] {
		if o != s {
			rest = append(rest, o)
		}
	}
	if l.byPeer[k] = rest; len(rest) == 0 {
		delete(l.byPeer, k)
	}
	s.machine.Disable(now)
	s.until = now.Add(goodbye)
	l.leaving = append(l.leaving, s)
}

// leave ends all sessions.
func (l *loop) leave(now time.Time) {
	for _, s := range l.sessions {
		s.machine.Disable(now)
	}
	l.end = now.Add(goodbye)
}

// left reports whether all sessions have ended, after leave.
func (l *loop) left() bool {
	if l.end.IsZero() {
		return false
	}
	for _, s := range l.sessions {
		if s.sender != nil && !s.machine.Told() && time.Now().Before(l.end) {
			return false
		}
	}
	return true
}

// receive takes up a packet.
func (l *loop) receive(now time.Time, in arrival) {
	s, why := l.find(in)
	if s == nil {
		l.discards[why].Add(1)
		return
	}
	if why == Accepted {
		before := s.machine.state
		why = s.machine.Receive(now, in.packet)
		l.count(s, before)
	}
	if why != Accepted {
		s.discards[why].Add(1)
		return
	}
	s.received.Add(1)
	l.serve(now, s)
}

// find returns the session that a packet is for, and why it is discarded all the same.
func (l *loop) find(in arrival) (*session, Discard) {
	if in.discard != Accepted {
		return nil, in.discard
	}
	s := l.byNumber[in.packet.Your]
	if in.packet.Your == 0 {
		for _, o := range l.byPeer[peerKey{in.endpoint, in.from}] {
			if o.admits(in) && (s == nil || o.link != 0) { // one of this interface before one of any
				s = o
			}
		}
		if s == nil {
			return nil, UnknownPeer
		}
	}
	if s == nil || !s.admits(in) {
		return nil, UnknownSession
	}
	least := uint8(maxTTL)
	if s.Multihop {
		least = s.machine.profile.MinimumTTL
	}
	if in.ttl < least {
		return s, LowTTL
	}
	return s, Accepted
}

// admits reports whether a packet came from where the session's do. RFC 5880 section 6.3 lets a peer change its address as long as it knows
// our discriminator; ours have their address configured, and nobody else is to speak for them.
func (s *session) admits(in arrival) bool {
	return s.fault == "" && in.endpoint == s.endpoint() && in.from == s.Peer.WithZone("") && (s.link == 0 || in.link == s.link) &&
		(!s.Local.IsValid() || in.to == s.Local.WithZone(""))
}

func (l *loop) count(s *session, before State) {
	switch after := s.machine.state; {
	case before != Up && after == Up:
		s.ups.Add(1)
	case before == Up && after != Up:
		s.downs.Add(1)
	}
}

// serveAll does what is due, of all sessions, and finds out when there is something to do next.
func (l *loop) serveAll(now time.Time) {
	if !l.retry.IsZero() && !now.Before(l.retry) {
		l.open(now)
	}
	l.armed = earlier(l.retry, l.end)
	for _, s := range l.sessions {
		l.serve(now, s)
	}
	var rest []*session
	for _, s := range l.leaving {
		l.serve(now, s)
		if s.sender == nil || s.machine.Told() || !now.Before(s.until) {
			l.forget(s)
			continue
		}
		l.armed = earlier(l.armed, s.until)
		rest = append(rest, s)
	}
	if len(rest) < len(l.leaving) {
		l.leaving = rest
		l.open(now)
	}
}

// forget is the end of a session.
func (l *loop) forget(s *session) {
	delete(l.byNumber, s.machine.local)
	if s.sender != nil {
		_ = s.sender.Close()
	}
}

// earlier returns the earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// late is by how much the timer may ring late; grace is how long the packets that came meanwhile take to be read.
const (
	late  = 20 * time.Millisecond
	grace = 10 * time.Millisecond
)

// overslept takes up when the timer rings. If it should have long ago, the process was held up (by a CPU limit, say): it was deaf, peers
// were not silent. What they sent waits in the sockets and is heard first.
func (l *loop) overslept(now, rings time.Time) {
	if !rings.IsZero() && now.Sub(rings) > late {
		l.deaf = now.Add(grace)
	}
}

// serve does what is due of one session.
func (l *loop) serve(now time.Time, s *session) {
	if s.sender == nil {
		return
	}
	if now.Before(l.deaf) {
		l.armed = earlier(l.armed, l.deaf)
	} else {
		before := s.machine.state
		s.machine.Tick(now)
		l.count(s, before)
	}
	for {
		p, ok := s.machine.Send(now, l.random())
		if !ok {
			break
		}
		l.send(s, p)
	}
	l.tell(now, s, false)
	l.armed = earlier(l.armed, s.machine.Next())
}

func (l *loop) send(s *session, p Packet) {
	err := s.sender.send(p.Append(l.buffer[:0]))
	if err == nil {
		s.sending = ""
		s.sent.Add(1)
		return
	}
	s.sending = err.Error()
	// An interface that was created again under its name needs another socket.
	if link, err := l.network.index(s.Session); err == nil && link != s.link {
		_ = s.sender.Close()
		s.sender = nil
		l.retry = time.Now()
	}
}

// tell has a session observed as it is.
func (l *loop) tell(now time.Time, s *session, always bool) {
	m, old := &s.machine, s.status.Load()
	is := Status{
		Name: s.Name, State: m.state, RemoteState: m.remoteState, Diagnostic: m.diag, RemoteDiagnostic: m.remoteDiag, Cause: m.cause,
		Since: old.Since, Transmit: m.interval(), Detection: m.Detection(), Local: m.local, Remote: m.remote,
		RemoteIndependent: m.independent, Error: cmp.Or(s.fault, l.errs[s.endpoint()], s.opening, s.sending),
	}
	if is.State != old.State {
		is.Since = now
	}
	if is != *old {
		stored := is
		s.status.Store(&stored)
	}
	if !always && is.State == old.State && is.Cause == old.Cause && is.Error == old.Error {
		return
	}
	if l.sessions[s.Name] == s {
		l.options.Changed(s.Name, s.load())
	}
	log := l.options.Log.WithValues("peer", s.Name, "address", s.Peer.String(), "state", is.State.String())
	switch {
	case is.State != old.State && (is.State == Up || old.State == Up):
		log.Info("bfd session changed", "cause", is.Cause.String(), "diagnostic", is.Diagnostic.String(), "remoteDiagnostic", is.RemoteDiagnostic.String())
	case is.Error != old.Error && is.Error != "":
		log.Info("bfd session has no packets", "error", is.Error)
	}
}
