package bfd

import "time"

// A Profile is what a session is asked to be like.
type Profile struct {
	// Receive is the shortest interval at which the peer may send (RFC 5880's bfd.RequiredMinRxInterval), Transmit the one at which
	// we would like to (bfd.DesiredMinTxInterval). 300 ms if zero.
	Receive, Transmit time.Duration
	// Multiplier is how many of our packets have to be missed in a row (bfd.DetectMult). 3 if zero.
	Multiplier uint8
	// Passive sessions send nothing before they have heard of the peer (RFC 5880 section 6.1).
	Passive bool
	// MinimumTTL is for sessions over several hops: packets that arrive with less are discarded. 254 if zero.
	MinimumTTL uint8
}

func (p Profile) defaulted() Profile {
	if p.Receive <= 0 {
		p.Receive = 300 * time.Millisecond
	}
	if p.Transmit <= 0 {
		p.Transmit = 300 * time.Millisecond
	}
	if p.Multiplier == 0 {
		p.Multiplier = 3
	}
	if p.MinimumTTL == 0 {
		p.MinimumTTL = 254
	}
	return p
}

// Cause is why a session is not Up. It tells more than a Diagnostic: what RFC 5882 has clients of BFD tell apart.
type Cause uint8

// The causes.
const (
	// NoCause is that of a session that is up, or never was.
	NoCause Cause = iota
	// Expired heard nothing for the detection time: the path is broken, or the peer is dead.
	Expired
	// Signaled: the peer says that it hears nothing from us: the path is broken the other way.
	Signaled
	// Restarted: the peer's BFD says that it knows nothing of the session: it was started or configured again. That is no sign
	// of a broken path. FRR does so when its BGP session is established.
	Restarted
	// PeerAdminDown was ended by the peer's administrator, and is no sign of a broken path (RFC 5882 section 3.2).
	PeerAdminDown
	// LocalAdminDown was ended here.
	LocalAdminDown
)

func (c Cause) String() string {
	return [...]string{
		"none", "control detection time expired", "peer does not hear us", "peer's BFD restarted", "peer is administratively down",
		"administratively down",
	}[c]
}

// Failed reports whether the cause is a sign that the path to the peer is broken.
func (c Cause) Failed() bool { return c == Expired || c == Signaled }

// timers are the two intervals of a Profile, as they are advertised or active.
type timers struct{ tx, rx time.Duration }

// A Machine is one session. Its methods are called with what happens, and when; it says what to send, by Send, and when to ask it next, by Next.
// The names of RFC 5880 section 6.8.1 are beside the fields.
type Machine struct {
	profile Profile
	state   State      // bfd.SessionState
	diag    Diagnostic // bfd.LocalDiag
	cause   Cause
	local   uint32 // bfd.LocalDiscr

	// What the peer last said. Nothing of it is known while remote is 0.
	remote           uint32 // bfd.RemoteDiscr
	remoteState      State  // bfd.RemoteSessionState
	remoteDiag       Diagnostic
	remoteMinRx      time.Duration // bfd.RemoteMinRxInterval
	remoteTx         time.Duration // the Desired Min TX Interval that it has sent
	remoteMultiplier uint8
	remoteDemand     bool // bfd.RemoteDemandMode
	independent      bool // its C bit

	// offered is what we advertise. agreed is what the peer is known to have taken note of: it differs during a Poll Sequence.
	offered, agreed timers
	polling         bool
	// pollAfter is when another Poll Sequence may begin. Answers to the last may be under way until then.
	pollAfter time.Time

	heard  time.Time // the latest packet that was accepted; zero once it is forgotten
	sent   time.Time // the latest packet that was not an answer to a Poll; zero if there is none
	jitter float64   // how much of the interval to wait after that
	prompt bool      // what is to be sent differs from what was: do not wait
	final  bool      // a Poll is to be answered
	repeat uint8     // how often AdminDown is still to be said at the pace that the session had
}

// slow is the shortest interval at which a session that is not up sends (RFC 5880 section 6.8.3).
const slow = time.Second

// NewMachine returns a session in state Down. The discriminator is not zero, and different from those of all other sessions.
func NewMachine(discriminator uint32, p Profile) Machine {
	m := Machine{profile: p.defaulted(), state: Down, remoteState: Down, local: discriminator, remoteMinRx: time.Microsecond, prompt: true}
	m.offered = m.wanted()
	m.agreed = m.offered
	return m
}

// wanted is what to advertise in the present state.
func (m *Machine) wanted() timers {
	t := timers{m.profile.Transmit, m.profile.Receive}
	if m.state != Up {
		t.tx = max(t.tx, slow)
	}
	return t
}

// Configure changes the profile. A session that is up stays up.
func (m *Machine) Configure(now time.Time, p Profile) {
	p = p.defaulted()
	if p == m.profile {
		return
	}
	m.profile, m.prompt = p, true
	m.offer(now)
}

// offer advertises what is wanted. While the session is up, a change needs a Poll Sequence (RFC 5880 section 6.8.3), one at a time.
// While it is not, there is nothing that the peer could detect wrongly.
func (m *Machine) offer(now time.Time) {
	if m.state != Up {
		m.offered, m.polling = m.wanted(), false
		if m.repeat == 0 {
			m.agreed = m.offered
		}
		return
	}
	if m.polling || now.Before(m.pollAfter) || m.offered == m.wanted() {
		return
	}
	m.offered, m.polling = m.wanted(), true
}

// Disable ends the session for administrative reasons (RFC 5880 section 6.8.16). What is said of that is said several times, as the
// peer would take silence for a failure.
func (m *Machine) Disable(now time.Time) {
	if m.state == AdminDown {
		return
	}
	m.repeat = m.profile.Multiplier
	m.become(now, AdminDown, AdministrativelyDown, LocalAdminDown)
}

// Told reports whether the peer knows, as far as can be, that the session was disabled.
func (m *Machine) Told() bool {
	return m.state == AdminDown && (m.remote == 0 || m.repeat == 0 || !m.prompt && m.remoteState != Up)
}

func (m *Machine) become(now time.Time, s State, d Diagnostic, c Cause) {
	m.state, m.diag, m.cause, m.prompt = s, d, c, true
	m.pollAfter = time.Time{}
	m.offer(now)
}

// Receive takes up a packet that was sent to this session, as RFC 5880 section 6.8.6 says. What needs no session is checked already.
func (m *Machine) Receive(now time.Time, p Packet) Discard {
	if p.Authenticated {
		return Authentication
	}
	m.remote, m.remoteState, m.remoteDiag = p.My, p.State, p.Diagnostic
	m.remoteDemand, m.independent = p.Demand, p.ControlPlaneIndependent
	m.remoteMinRx, m.remoteTx, m.remoteMultiplier = p.RequiredMinRx, p.DesiredMinTx, p.Multiplier
	if m.polling && p.Final {
		m.polling, m.agreed = false, m.offered
		m.pollAfter = now.Add(m.interval())
	}
	if m.state == AdminDown {
		return Disabled
	}
	m.heard = now
	m.follow(now, p)
	if p.Poll {
		m.final = true
	}
	m.offer(now)
	return Accepted
}

// follow is the state machine of RFC 5880 section 6.2.
func (m *Machine) follow(now time.Time, p Packet) {
	switch {
	case p.State == AdminDown:
		if m.state != Down {
			m.become(now, Down, NeighborDown, PeerAdminDown)
		}
		m.cause = PeerAdminDown
	case m.state == Down && p.State == Down:
		m.become(now, Init, m.diag, m.cause)
	case m.state == Down && p.State == Init, m.state == Init && (p.State == Init || p.State == Up):
		m.become(now, Up, NoDiagnostic, NoCause)
	case m.state == Up && p.State == Down:
		cause := Signaled
		if p.Your == 0 && p.Diagnostic == NoDiagnostic { // who lost us forgot us too, but says why
			cause = Restarted
		}
		m.become(now, Down, NeighborDown, cause)
	}
}

// Tick takes up that it is now. Only the Detection Time depends on it (RFC 5880 section 6.8.4).
func (m *Machine) Tick(now time.Time) {
	if m.heard.IsZero() || now.Before(m.heard.Add(m.Detection())) {
		m.offer(now)
		return
	}
	// RFC 5880 section 6.8.1: who was not heard for this long is forgotten.
	m.heard, m.remote, m.remoteState, m.remoteDemand = time.Time{}, 0, Down, false
	m.remoteMinRx = time.Microsecond
	m.polling, m.final = false, false
	if m.state == Init || m.state == Up {
		m.become(now, Down, DetectionTimeExpired, Expired)
	}
}

// Detection is for how long nothing has to be heard for a session to be lost: the peer's multiplier, times the interval at which it
// sends (RFC 5880 section 6.8.4). A reduced interval of ours counts once the peer has taken note of it (section 6.8.3).
func (m *Machine) Detection() time.Duration {
	if m.remote == 0 {
		return 0
	}
	return time.Duration(m.remoteMultiplier) * max(m.remoteTx, max(m.offered.rx, m.agreed.rx))
}

// interval is the one at which we send, before jitter (RFC 5880 section 6.8.7). One of ours that was increased counts once the peer
// has taken note of it (section 6.8.3).
func (m *Machine) interval() time.Duration {
	return max(min(m.offered.tx, m.agreed.tx), m.remoteMinRx)
}

// Send returns the next packet that is to be sent now, if there is any: call it until there is not. random is from [0, 1).
func (m *Machine) Send(now time.Time, random float64) (Packet, bool) {
	if m.final { // RFC 5880 section 6.8.7: at once, whatever else holds
		m.final = false
		p := m.packet()
		p.Final = true
		return p, true
	}
	if !m.periodic() || !m.prompt && now.Before(m.early()) {
		return Packet{}, false
	}
	m.prompt, m.sent = false, now
	m.jitter = jitter(m.profile, random)
	if m.state == AdminDown {
		m.say()
	}
	p := m.packet()
	p.Poll = m.polling
	return p, true
}

// jitter is how much of the interval to wait: three quarters at least, and where one lost packet is one too many, nine tenths at most
// (RFC 5880 section 6.8.7).
func jitter(p Profile, random float64) float64 {
	if p.Multiplier == 1 {
		return 0.9 - 0.15*random
	}
	return 1 - 0.25*random
}

// say counts down how often AdminDown is said at the session's pace; then it is slow as any session that is not up.
func (m *Machine) say() {
	if m.repeat > 0 {
		m.repeat--
	}
	if m.repeat == 0 {
		m.agreed = m.offered
	}
}

// periodic reports whether anything may be sent unasked (RFC 5880 section 6.8.7).
func (m *Machine) periodic() bool {
	switch {
	case m.remote == 0 && m.profile.Passive:
		return false
	case m.remoteMinRx == 0:
		return false
	case m.remoteDemand && m.state == Up && m.remoteState == Up && !m.polling:
		return false
	default:
		return true
	}
}

// due is when the next packet has to be sent; early is from when it may, together with others: as early as 5 % of the interval, but
// not before the least that jitter allows.
func (m *Machine) due() time.Time { return m.sent.Add(scale(m.interval(), m.jitter)) }

func (m *Machine) early() time.Time {
	return m.sent.Add(max(scale(m.interval(), 0.75), scale(m.interval(), m.jitter-0.05)))
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// Next is when Tick and Send are to be called, at the latest. It is zero if not before the next packet.
func (m *Machine) Next() time.Time {
	var next time.Time
	if m.final || m.prompt && m.periodic() {
		return time.Unix(0, 0)
	}
	if m.periodic() {
		next = m.due()
	}
	if !m.heard.IsZero() {
		if lost := m.heard.Add(m.Detection()); next.IsZero() || lost.Before(next) {
			next = lost
		}
	}
	if m.state == Up && m.offered != m.wanted() && !m.polling && (next.IsZero() || m.pollAfter.Before(next)) {
		next = m.pollAfter
	}
	return next
}

func (m *Machine) packet() Packet {
	return Packet{
		Diagnostic: m.diag, State: m.state, Multiplier: m.profile.Multiplier, My: m.local, Your: m.remote,
		DesiredMinTx: m.offered.tx, RequiredMinRx: m.offered.rx,
	}
}
