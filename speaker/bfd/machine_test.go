package bfd

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// heard is what a peer in some state says, once it knows us.
func heard(s State) Packet {
	return Packet{State: s, Multiplier: 3, My: 7, Your: 1, DesiredMinTx: 100 * ms, RequiredMinRx: 100 * ms}
}

// in returns a session in some state.
func in(s State, p Profile) Machine {
	m := NewMachine(1, p)
	switch s {
	case AdminDown:
		m.Disable(epoch)
	case Down:
	case Init:
		m.Receive(epoch, heard(Down))
	case Up:
		m.Receive(epoch, heard(Init))
	}
	drain(&m, epoch)
	return m
}

// drain returns all that is to be sent.
func drain(m *Machine, now time.Time) (all []Packet) {
	for {
		p, ok := m.Send(now, 0)
		if !ok {
			return all
		}
		all = append(all, p)
	}
}

// TestStates is the state machine of RFC 5880 section 6.2, and section 6.8.6 where it says more.
func TestStates(t *testing.T) {
	type want struct {
		State State
		Diag  Diagnostic
		Cause Cause
	}
	stay := map[State]want{AdminDown: {AdminDown, AdministrativelyDown, LocalAdminDown}, Down: {State: Down}, Init: {State: Init}, Up: {State: Up}}
	down := want{Down, NeighborDown, Signaled}
	ended := want{Down, NeighborDown, PeerAdminDown}
	tests := map[State]map[State]want{
		AdminDown: {AdminDown: stay[AdminDown], Down: stay[AdminDown], Init: stay[AdminDown], Up: stay[AdminDown]},
		Down:      {AdminDown: {Down, NoDiagnostic, PeerAdminDown}, Down: stay[Init], Init: stay[Up], Up: stay[Down]},
		Init:      {AdminDown: ended, Down: stay[Init], Init: stay[Up], Up: stay[Up]},
		Up:        {AdminDown: ended, Down: down, Init: stay[Up], Up: stay[Up]},
	}
	for from, row := range tests {
		for received, w := range row {
			t.Run(fmt.Sprintf("%s hears %s", from, received), func(t *testing.T) {
				m := in(from, fast)
				why := m.Receive(epoch, heard(received))
				if diff := cmp.Diff(w, want{m.state, m.diag, m.cause}); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if disabled := why == Disabled; disabled != (from == AdminDown) || !disabled && why != Accepted {
					t.Errorf("discard: %s", why)
				}
				if changed, told := m.state != from, len(drain(&m, epoch)) > 0; changed != told {
					t.Errorf("the state changes: %t, it is told at once: %t (section 6.8.7)", changed, told)
				}
			})
		}
	}
}

func TestCauses(t *testing.T) {
	tests := map[string]struct {
		reason string
		do     func(m *Machine)
		want   Cause
		failed bool
		diag   Diagnostic
	}{
		"Silence": {"nothing is heard for the detection time", func(m *Machine) { m.Tick(epoch.Add(300 * ms)) }, Expired, true, DetectionTimeExpired},
		"Enough":  {"the detection time is not over", func(m *Machine) { m.Tick(epoch.Add(300*ms - 1)) }, NoCause, false, NoDiagnostic},
		"Peer":    {"the peer does not hear us", func(m *Machine) { m.Receive(epoch, heard(Down)) }, Signaled, true, NeighborDown},
		"Restart": {"the peer has forgotten us: it began again", func(m *Machine) {
			p := heard(Down)
			p.Your = 0
			m.Receive(epoch, p)
		}, Restarted, false, NeighborDown},
		"Forgot": {"the peer heard nothing for so long that it has forgotten us", func(m *Machine) {
			p := heard(Down)
			p.Your, p.Diagnostic = 0, DetectionTimeExpired
			m.Receive(epoch, p)
		}, Signaled, true, NeighborDown},
		"PeerAdmin": {"RFC 5882 section 3.2: no failure", func(m *Machine) { m.Receive(epoch, heard(AdminDown)) }, PeerAdminDown, false, NeighborDown},
		"Admin":     {"we end it", func(m *Machine) { m.Disable(epoch) }, LocalAdminDown, false, AdministrativelyDown},
		"Again": {"what was lost and ended after that has failed no more", func(m *Machine) {
			m.Tick(epoch.Add(300 * ms))
			m.Receive(epoch.Add(time.Second), heard(AdminDown))
		}, PeerAdminDown, false, DetectionTimeExpired},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := in(Up, fast)
			tc.do(&m)
			if m.cause != tc.want || m.cause.Failed() != tc.failed || m.diag != tc.diag {
				t.Errorf("%s: %s, failed: %t, %s", tc.reason, m.cause, m.cause.Failed(), m.diag)
			}
		})
	}
}

// TestSending: what RFC 5880 sections 6.8.3 and 6.8.7 say of when to send, and what.
func TestSending(t *testing.T) {
	profile := func(change func(*Profile)) Profile {
		p := fast
		change(&p)
		return p
	}
	tests := map[string]struct {
		reason   string
		state    State
		profile  Profile
		hears    func(*Packet) // is heard in state Up
		none     bool          // nothing is sent unasked
		from, to time.Duration // the times at which the next is sent
	}{
		"Slow":       {reason: "not faster than once a second while not up", state: Down, profile: fast, from: 750 * ms, to: time.Second},
		"SlowInit":   {reason: "nor in Init", state: Init, profile: fast, from: 750 * ms, to: time.Second},
		"Slower":     {reason: "nor faster than is wanted", state: Down, profile: Profile{Transmit: 2 * time.Second}, from: 1500 * ms, to: 2 * time.Second},
		"Up":         {reason: "as agreed, less a quarter at most", state: Up, profile: fast, from: 75 * ms, to: 100 * ms},
		"Once":       {reason: "with a multiplier of 1, less a tenth at least", state: Up, profile: profile(func(p *Profile) { p.Multiplier = 1 }), from: 75 * ms, to: 90 * ms},
		"PeerSlower": {reason: "not faster than the peer can receive", state: Up, profile: fast, hears: func(p *Packet) { p.RequiredMinRx = time.Second }, from: 750 * ms, to: time.Second},
		"PeerFaster": {reason: "not faster than we want to", state: Up, profile: fast, hears: func(p *Packet) { p.RequiredMinRx = ms }, from: 75 * ms, to: 100 * ms},
		"PeerNone":   {reason: "the peer wants none", state: Up, profile: fast, hears: func(p *Packet) { p.RequiredMinRx = 0 }, none: true},
		"Demand":     {reason: "the peer has Demand mode", state: Up, profile: fast, hears: func(p *Packet) { p.Demand, p.Final = true, true }, none: true},
		"DemandPoll": {reason: "but a Poll Sequence goes on", state: Up, profile: fast, hears: func(p *Packet) { p.Demand = true }, from: 75 * ms, to: 100 * ms},
		"Passive":    {reason: "the passive role waits", state: Down, profile: profile(func(p *Profile) { p.Passive = true }), none: true},
		"PassiveUp":  {reason: "until it has heard of the peer", state: Up, profile: profile(func(p *Profile) { p.Passive = true }), from: 75 * ms, to: 100 * ms},
	}
	for name, tc := range tests {
		for _, random := range []float64{0, 0.5, 0.999999} {
			t.Run(fmt.Sprintf("%s/%g", name, random), func(t *testing.T) {
				m := in(tc.state, tc.profile)
				if tc.hears != nil {
					p := heard(Up)
					tc.hears(&p)
					m.Receive(epoch, p)
				}
				for now := epoch; now.Before(epoch.Add(3 * time.Second)); now = now.Add(ms) {
					m.prompt = m.prompt && now.Equal(epoch)
					if _, ok := m.Send(now, random); ok && now != epoch {
						if at := now.Sub(epoch); tc.none || at < tc.from || at > tc.to {
							t.Errorf("%s: sent after %s", tc.reason, at)
						}
						return
					}
					if now.Equal(epoch) {
						m.sent = epoch
						m.jitter = jitter(m.profile, random)
					}
				}
				if !tc.none {
					t.Errorf("%s: sends nothing", tc.reason)
				}
			})
		}
	}
}

// TestPoll changes timers while a session is up: RFC 5880 section 6.8.3.
func TestPoll(t *testing.T) {
	now := epoch
	m := in(Up, fast)
	send := func() Packet {
		t.Helper()
		now = now.Add(time.Second)
		p, ok := m.Send(now, 0)
		if !ok {
			t.Fatal("nothing is sent")
		}
		return p
	}
	answer := func() {
		p := heard(Up)
		p.Final = true
		m.Receive(now, p)
	}
	if p := send(); !p.Poll || p.DesiredMinTx != 100*ms {
		t.Errorf("when the session comes up its faster pace needs a Poll: %+v", p)
	}
	answer()
	if p := send(); p.Poll {
		t.Errorf("the Poll Sequence goes on after its Final: %+v", p)
	}

	m.Configure(now, Profile{Transmit: 500 * ms, Receive: 50 * ms})
	if p := send(); !p.Poll || p.DesiredMinTx != 500*ms || p.RequiredMinRx != 50*ms {
		t.Errorf("the change is not polled: %+v", p)
	}
	if m.interval() != 100*ms || m.Detection() != 300*ms {
		t.Errorf("before the peer knows, sends each %s and detects after %s", m.interval(), m.Detection())
	}
	m.Configure(now, Profile{Transmit: 700 * ms, Receive: 70 * ms})
	if p := send(); !p.Poll || p.DesiredMinTx != 500*ms {
		t.Errorf("a second change while the first is polled: %+v", p)
	}
	answer()
	if m.interval() != 500*ms || m.Detection() != 300*ms { // the peer's own 100 ms count now
		t.Errorf("once the peer knows, sends each %s and detects after %s", m.interval(), m.Detection())
	}
	answer() // to the first one's second packet
	if m.offered.tx != 500*ms || m.interval() != 500*ms {
		t.Error("a late Final answers a Poll that was not sent")
	}
	now = now.Add(500 * ms)
	m.Receive(now, heard(Up))
	if p := send(); !p.Poll || p.DesiredMinTx != 700*ms {
		t.Errorf("the second change is not polled after the first: %+v", p)
	}

	m = in(Up, fast)
	p := heard(Up)
	p.Poll = true
	m.Receive(now, p)
	if p, ok := m.Send(epoch, 0); !ok || !p.Final || p.Poll {
		t.Errorf("a Poll is not answered at once: %+v", p)
	}
}

// TestForget: nothing of a peer is kept once it was silent, and an authenticated packet says nothing.
func TestForget(t *testing.T) {
	m := in(Up, fast)
	p := heard(Down)
	p.Authenticated = true
	if why := m.Receive(epoch, p); why != Authentication || m.state != Up {
		t.Errorf("an authenticated packet is taken: %s, %s", why, m.state)
	}
	m.Tick(epoch.Add(time.Second))
	if p, ok := m.Send(epoch.Add(time.Second), 0); !ok || p.Your != 0 || p.State != Down || p.Diagnostic != DetectionTimeExpired || p.DesiredMinTx != slow {
		t.Errorf("after silence says %+v", p)
	}
	if !m.Next().After(epoch.Add(time.Second)) {
		t.Error("does not rest")
	}
}

// end is a Machine in a network that is simulated.
type end struct {
	Machine

	changes []State
	latest  time.Time // when it last sent unasked
}

// pair is two Machines, and packets on their way.
type pair struct {
	now   time.Time
	ends  [2]end
	wires [2][]flight // to each
	loss  float64
	late  time.Duration // packets take up to this long, and so overtake each other
	again float64       // packets arrive twice
	rand  *rand.Rand
	fault func(string, ...any)
}

type flight struct {
	Packet

	at time.Time
}

func newPair(seed uint64, a, b Profile, fault func(string, ...any)) *pair {
	p := &pair{now: epoch, rand: rand.New(rand.NewPCG(seed, 0)), fault: fault}
	p.ends[0].Machine, p.ends[1].Machine = NewMachine(1, a), NewMachine(2, b)
	return p
}

func (p *pair) run(d time.Duration) {
	for end := p.now.Add(d); p.now.Before(end); {
		for i := range p.ends {
			p.step(i)
		}
		next := end
		for i := range p.ends {
			if due := p.ends[i].Next(); !due.IsZero() {
				next = earlier(next, due)
			}
			for _, f := range p.wires[i] {
				next = earlier(next, f.at)
			}
		}
		p.now = earlier(end, p.now.Add(max(ms, next.Sub(p.now))))
	}
}

func (p *pair) step(i int) {
	e := &p.ends[i]
	before := e.state
	var rest []flight
	for _, f := range p.wires[i] {
		if f.at.After(p.now) {
			rest = append(rest, f)
			continue
		}
		e.Receive(p.now, f.Packet)
		e.note(&before)
	}
	p.wires[i] = rest
	e.Tick(p.now)
	e.note(&before)
	interval, prompt := e.interval(), e.prompt
	for {
		out, ok := e.Send(p.now, p.rand.Float64())
		if !ok {
			break
		}
		if !out.Final {
			if !prompt && p.now.Sub(e.latest) < interval*3/4 {
				p.fault("%s after %s, agreed upon %s", out.State, p.now.Sub(e.latest), interval)
			}
			e.latest = p.now
		}
		p.carry(1-i, out)
	}
	if next := e.Next(); !next.IsZero() && !next.After(p.now) {
		p.fault("has nothing to do, and does not rest: %+v", e.Machine)
	}
}

func (e *end) note(before *State) {
	if e.state != *before {
		e.changes = append(e.changes, e.state)
		*before = e.state
	}
}

func (p *pair) carry(to int, packet Packet) {
	read, why := Parse(packet.Append(nil))
	if why != Accepted {
		p.fault("a packet that is to be discarded (%s): %+v", why, packet)
		return
	}
	for range 2 {
		if p.rand.Float64() >= p.loss {
			at := p.now.Add(ms)
			if p.late > 0 {
				at = at.Add(time.Duration(p.rand.Int64N(int64(p.late))))
			}
			p.wires[to] = append(p.wires[to], flight{read, at})
		}
		if p.rand.Float64() >= p.again {
			return
		}
	}
}

// TestPair: whatever the network did before, two ends come up once it is well, agree, stay up whatever is configured, and go down in
// time when it is cut.
func TestPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		profile := func(name string) Profile {
			return Profile{
				Receive:    time.Duration(rapid.IntRange(10, 2000).Draw(t, name+" receive")) * ms,
				Transmit:   time.Duration(rapid.IntRange(10, 2000).Draw(t, name+" transmit")) * ms,
				Multiplier: uint8(rapid.IntRange(2, 10).Draw(t, name+" multiplier")),
			}
		}
		a, b := profile("a"), profile("b")
		a.Passive = rapid.Bool().Draw(t, "passive")
		p := newPair(rapid.Uint64().Draw(t, "seed"), a, b, t.Errorf)
		p.loss, p.late, p.again = 0.3, 50*ms, 0.2
		p.run(time.Duration(rapid.IntRange(0, 5000).Draw(t, "bad")) * ms)

		// The least interval is 10 ms: this network is not slower than a quarter of it.
		p.loss, p.late, p.again = 0, 0, 0.2
		p.run(45 * time.Second)
		for i := range p.ends {
			if p.ends[i].state != Up {
				t.Fatalf("not up: %+v", p.ends[i].Machine)
			}
			p.ends[i].changes = nil
		}
		for range rapid.IntRange(0, 5).Draw(t, "changes") {
			i := rapid.IntRange(0, 1).Draw(t, "end")
			p.ends[i].Configure(p.now, profile("new"))
			p.run(time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * ms)
		}
		p.run(time.Minute)
		for i := range p.ends {
			e, o := &p.ends[i], &p.ends[1-i]
			if len(e.changes) > 0 {
				t.Errorf("flaps when timers change: %v", e.changes)
			}
			want := max(e.profile.Transmit, o.profile.Receive)
			if got := e.interval(); got != want || o.Detection() != time.Duration(e.profile.Multiplier)*want || e.polling {
				t.Errorf("sends each %s, want %s; the other detects after %s", got, want, o.Detection())
			}
		}
		p.loss = 1
		p.wires = [2][]flight{}
		longest := max(p.ends[0].Detection(), p.ends[1].Detection())
		p.run(longest + 2*ms)
		for i := range p.ends {
			if e := &p.ends[i]; e.state != Down || e.cause != Expired {
				t.Errorf("is %s (%s) though nothing was heard for %s", e.state, e.cause, longest)
			}
		}
	})
}

// TestGoodbye: who ends a session is believed, even if most that it says is lost.
func TestGoodbye(t *testing.T) {
	for _, passive := range []bool{false, true} {
		failed := 0
		for seed := range uint64(200) {
			p := newPair(seed, Profile{Receive: 100 * ms, Transmit: 100 * ms, Passive: passive}, fast, t.Errorf)
			p.run(5 * time.Second)
			p.loss = 0.3
			p.ends[0].Disable(p.now)
			p.run(2 * time.Second)
			if !p.ends[0].Told() {
				t.Error("does not end")
			}
			if p.ends[1].cause != PeerAdminDown || p.ends[1].diag != NeighborDown { // the diagnostic is of when it went down
				failed++
			}
		}
		if failed > 12 { // all three are lost in 2.7 of 100
			t.Errorf("%d of 200 take it for a failure", failed)
		}
	}
}

// TestModel holds a Machine's state against one that is made from the whole history each time.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type event struct {
			Packet

			at time.Time
		}
		var history []event
		m := NewMachine(1, fast)
		now := epoch
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "ms")) * ms)
			m.Tick(now)
			p := heard(State(rapid.IntRange(0, 3).Draw(t, "state")))
			p.Multiplier = uint8(rapid.IntRange(1, 4).Draw(t, "multiplier"))
			p.DesiredMinTx = time.Duration(rapid.IntRange(1, 300).Draw(t, "tx")) * ms
			history = append(history, event{p, now})
			m.Receive(now, p)

			state := Down
			for i, e := range history {
				// The slow way: how long was it silent before, by what was said last?
				if i > 0 {
					last := history[i-1]
					silence := time.Duration(last.Multiplier) * max(last.DesiredMinTx, fast.Receive)
					if e.at.Sub(last.at) >= silence && (state == Init || state == Up) {
						state = Down
					}
				}
				// RFC 5880 section 6.2, as it is drawn.
				switch fmt.Sprint(state, " ", e.State) {
				case "Down Down":
					state = Init
				case "Down Init", "Init Init", "Init Up":
					state = Up
				case "Up Down", "Up AdminDown", "Init AdminDown":
					state = Down
				}
			}
			if m.state != state {
				t.Fatalf("is %s, want %s after %+v", m.state, state, history)
			}
		}
	})
}

func BenchmarkMachine(b *testing.B) {
	m := in(Up, fast)
	p := heard(Up)
	p.Final = true
	out := make([]byte, 0, size)
	now := epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(100 * ms)
		m.Receive(now, p)
		m.Tick(now)
		q, _ := m.Send(now, 0.5)
		out = q.Append(out[:0])
		m.Next()
	}
}
