package bfd

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

// ether is a network in memory. Drivers have an address on it each.
type ether struct {
	mu        sync.Mutex
	listeners map[netip.Addr]map[endpoint]*tap
	inUse     error // what listening fails with
	noDevice  error // what opening a sender fails with
	lose      func(from netip.Addr, p Packet) bool
	ttl       uint8
	sources   map[netip.Addr]int // packets sent by each
}

func newEther() *ether {
	return &ether{
		listeners: map[netip.Addr]map[endpoint]*tap{}, lose: func(netip.Addr, Packet) bool { return false }, ttl: 255, sources: map[netip.Addr]int{},
	}
}

// port is where one Driver is plugged in.
type port struct {
	*ether

	addr netip.Addr
}

func (p port) listen(at endpoint) (listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inUse != nil {
		return nil, p.inUse
	}
	t := &tap{make(chan arrival, 100), make(chan struct{})}
	if p.listeners[p.addr] == nil {
		p.listeners[p.addr] = map[endpoint]*tap{}
	}
	p.listeners[p.addr][at] = t
	return t, nil
}

func (p port) dial(s Session) (sender, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return plug{p, s}, p.noDevice
}

func (p port) index(Session) (int, error) { return 0, nil }

type tap struct {
	packets chan arrival
	closed  chan struct{}
}

func (t *tap) receive() (arrival, error) {
	select {
	case in := <-t.packets:
		return in, nil
	case <-t.closed:
		return arrival{}, errors.New("closed")
	}
}

func (t *tap) Close() error {
	select {
	case <-t.closed:
	default:
		close(t.closed)
	}
	return nil
}

type plug struct {
	port

	session Session
}

func (p plug) Close() error { return nil }

func (p plug) send(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources[p.addr]++
	packet, why := Parse(b)
	if p.lose(p.addr, packet) {
		return nil
	}
	if t := p.listeners[p.session.Peer][p.session.endpoint()]; t != nil {
		select {
		case t.packets <- arrival{packet: packet, discard: why, from: p.addr, to: p.session.Peer, ttl: p.ttl}:
		default:
		}
	}
	return nil
}

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

// plugged starts a Driver in the bubble.
func (e *ether) plugged(t *testing.T, at netip.Addr, all ...Session) (d *Driver, h *history, stop func()) {
	t.Helper()
	h = &history{}
	d = New(Options{Log: logr.Discard(), Changed: h.note})
	d.network = port{e, at}
	d.Set(all)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return d, h, stop
}

func to(peer netip.Addr, p Profile) Session {
	return Session{Name: peer.String(), Peer: peer, Profile: p}
}

// TestDrivers has two Drivers up, change timers, be cut, come back, and one of them leave.
func TestDrivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEther()
		a, ha, stopA := e.plugged(t, addrA, to(addrB, fast))
		b, hb, _ := e.plugged(t, addrB, to(addrA, fast))
		time.Sleep(4 * time.Second)
		if s := a.Observed()[0]; s.State != Up || s.RemoteState != Up || s.Detection != 300*ms || s.Transmit != 100*ms || s.Counters.Ups != 1 {
			t.Fatalf("is %+v", s)
		}
		was := ha.String()
		for _, slower := range []time.Duration{700 * ms, 50 * ms, 2 * time.Second, 100 * ms} {
			a.Set([]Session{to(addrB, Profile{Receive: slower, Transmit: slower})})
			time.Sleep(10 * time.Second)
			if s := b.Observed()[0]; s.Detection != 3*max(slower, 100*ms) {
				t.Errorf("with %s, the other detects after %s", slower, s.Detection)
			}
		}
		if ha.String() != was {
			t.Errorf("flaps when timers change: %s", ha)
		}

		e.mu.Lock()
		e.lose = func(netip.Addr, Packet) bool { return true }
		e.mu.Unlock()
		time.Sleep(300 * ms)
		for _, d := range []*Driver{a, b} {
			if s := d.Observed()[0]; s.State != Down || s.Cause != Expired || s.Counters.Downs != 1 || time.Since(s.Since) > 100*ms {
				t.Errorf("300 ms after the cable was pulled is %+v", s)
			}
		}
		e.mu.Lock()
		e.lose = func(netip.Addr, Packet) bool { return false }
		e.mu.Unlock()
		time.Sleep(4 * time.Second)
		if s := a.Observed()[0]; s.State != Up || s.Counters.Ups != 2 {
			t.Errorf("is not up again: %+v", s)
		}

		// The first that is said at the end is lost.
		lost := false
		e.mu.Lock()
		e.lose = func(_ netip.Addr, p Packet) bool {
			first := p.State == AdminDown && !lost
			lost = lost || first
			return first
		}
		e.mu.Unlock()
		started := time.Now()
		stopA()
		if took := time.Since(started); took > 250*ms {
			t.Errorf("leaving takes %s", took)
		}
		time.Sleep(10 * time.Second)
		if s := b.Observed()[0]; !lost || s.State != Down || s.Cause != PeerAdminDown || s.Cause.Failed() {
			t.Errorf("an orderly end is taken for a failure: %+v, %s", s, hb)
		}
	})
}

// TestRemove: a session that is not wanted any more ends by AdminDown, others stay, and one with another peer under its name is new.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEther()
		addrC := netip.MustParseAddr("192.0.2.3")
		a, ha, _ := e.plugged(t, addrA, to(addrB, fast), to(addrC, fast))
		b, _, _ := e.plugged(t, addrB, to(addrA, fast))
		c, hc, _ := e.plugged(t, addrC, to(addrA, fast))
		time.Sleep(4 * time.Second)
		a.Set([]Session{to(addrC, fast)})
		time.Sleep(4 * time.Second)
		if s := b.Observed()[0]; s.Cause != PeerAdminDown {
			t.Errorf("who is not wanted any more is %+v", s)
		}
		if s := c.Observed()[0]; s.State != Up || s.Counters.Downs > 0 {
			t.Errorf("who still is wanted is %+v: %s", s, hc)
		}
		if all := a.Observed(); len(all) != 1 || all[0].Name != addrC.String() {
			t.Errorf("observed are %+v", all)
		}
		moved := to(addrB, fast)
		moved.Name = addrC.String()
		a.Set([]Session{moved})
		time.Sleep(4 * time.Second)
		if s := a.Observed()[0]; s.State != Up || s.Counters.Ups != 1 {
			t.Errorf("with its new peer is %+v: %s", s, ha)
		}
		if s := c.Observed()[0]; s.Cause != PeerAdminDown {
			t.Errorf("its old peer is %+v", s)
		}
		a.Set(nil)
		time.Sleep(4 * time.Second)
		if len(e.listeners[addrA]) == 0 {
			t.Error("never listened")
		}
		for _, tap := range e.listeners[addrA] {
			select {
			case <-tap.closed:
			default:
				t.Error("listens without sessions")
			}
		}
	})
}

// TestFaults: what is wrong with one session costs no other, is told, and is tried again.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEther()
		e.inUse = errors.New("UDP port 3784 is in use")
		bad := Session{Name: "bad", Peer: netip.MustParseAddr("fe80::1")}
		twin := to(addrB, fast)
		twin.Name = "twin"
		a, _, _ := e.plugged(t, addrA, to(addrB, fast), bad, twin)
		e.plugged(t, addrB, to(addrA, fast))
		time.Sleep(time.Minute)
		errs := func() (out []string) {
			for _, s := range a.Observed() {
				out = append(out, s.Error)
			}
			return out
		}
		want := []string{e.inUse.Error(), "a link-local address needs an interface", "it is the same session as that of 192.0.2.2"}
		if diff := cmp.Diff(want, errs()); diff != "" {
			t.Errorf("faults (-want +got):\n%s", diff)
		}
		e.mu.Lock()
		e.inUse = nil
		e.mu.Unlock()
		time.Sleep(5 * time.Second)
		want[0] = ""
		if diff := cmp.Diff(want, errs()); diff != "" || a.Observed()[0].State != Up {
			t.Errorf("once the port is free: %+v (-want +got):\n%s", a.Observed()[0], diff)
		}
		// A listener that breaks is opened again before the session is lost for long.
		e.mu.Lock()
		for _, tap := range e.listeners[addrA] {
			tap.Close()
		}
		e.mu.Unlock()
		time.Sleep(5 * time.Second)
		if s := a.Observed()[0]; s.State != Up || s.Error != "" {
			t.Errorf("does not recover: %+v", s)
		}
	})
}

// TestDiscards: which session a packet is for, and why it is discarded.
func TestDiscards(t *testing.T) {
	peer, other := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	tests := map[string]struct {
		reason string
		change func(*arrival)
		of     string // the session that counts it
		want   Discard
	}{
		"Known":        {"Your Discriminator tells the session", func(*arrival) {}, "near", Accepted},
		"First":        {"without one, addresses do", func(a *arrival) { a.packet.Your, a.packet.State = 0, Down }, "near", Accepted},
		"Multihop":     {"and the port", func(a *arrival) { a.packet.Your, a.packet.State, a.multihop, a.ttl = 0, Down, true, 250 }, "far", Accepted},
		"Invalid":      {"what is no packet is nobody's", func(a *arrival) { a.discard = BadVersion }, "", BadVersion},
		"OtherHost":    {"another host is not answered", func(a *arrival) { a.packet.Your, a.packet.State, a.from = 0, Down, other }, "", UnknownPeer},
		"Unknown":      {"a discriminator that is not ours", func(a *arrival) { a.packet.Your = 99 }, "", UnknownSession},
		"Spoofed":      {"nobody else speaks for the peer", func(a *arrival) { a.from = other }, "", UnknownSession},
		"OtherPort":    {"over several hops nobody reaches a session over one", func(a *arrival) { a.multihop, a.ttl = true, 255 }, "", UnknownSession},
		"OtherLink":    {"a session is bound to its interface", func(a *arrival) { a.link = 9 }, "", UnknownSession},
		"TTL":          {"RFC 5881 section 5: 255 over one hop", func(a *arrival) { a.ttl = 254 }, "near", LowTTL},
		"MultihopTTL":  {"RFC 5883: what is asked for, over several", func(a *arrival) { a.packet.Your, a.packet.State, a.multihop, a.ttl = 0, Down, true, 249 }, "far", LowTTL},
		"Authenticate": {"authentication is refused", func(a *arrival) { a.packet.Authenticated = true }, "near", Authentication},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d := New(Options{Log: logr.Discard()})
			d.network = port{newEther(), addrA}
			l := newLoop(d)
			defer l.close()
			d.Set([]Session{
				{Name: "near", Peer: peer, Interface: "eth0"}, {Name: "far", Peer: peer, Multihop: true, Profile: Profile{MinimumTTL: 250}},
			})
			l.converge(epoch)
			l.sessions["near"].link = 3
			in := arrival{
				packet: heard(Init), from: peer, to: addrA, link: 3, ttl: 255,
			}
			in.packet.Your = l.sessions["near"].machine.local
			tc.change(&in)
			l.receive(epoch, in)
			for _, s := range d.Observed() {
				var want Counters
				switch {
				case s.Name == tc.of && tc.want == Accepted:
					want.Received = 1
				case s.Name == tc.of:
					want.Discards[tc.want] = 1
				}
				want.Sent, want.Ups = s.Counters.Sent, s.Counters.Ups
				if diff := cmp.Diff(want, s.Counters); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", tc.reason, s.Name, diff)
				}
			}
			var want Discards
			if tc.of == "" {
				want[tc.want] = 1
			}
			if diff := cmp.Diff(want, d.Discards()); diff != "" {
				t.Errorf("%s: of no session (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestOverslept: a process that was held up was deaf; its peers were not silent.
func TestOverslept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Log: logr.Discard()})
		d.network = port{newEther(), addrA}
		l := newLoop(d)
		defer l.close()
		d.Set([]Session{to(addrB, fast)})
		now := time.Now()
		l.converge(now)
		s := l.sessions[addrB.String()]
		s.machine.Receive(now, heard(Init))
		l.serveAll(now)

		wakes := now.Add(time.Second) // 0.9 s too late
		l.overslept(wakes, l.armed)
		l.serveAll(wakes)
		if s.machine.state != Up {
			t.Fatal("declares a peer silent before it has listened")
		}
		if l.armed.IsZero() || l.armed.After(wakes.Add(grace)) {
			t.Error("does not judge soon after")
		}
		l.serveAll(wakes.Add(grace))
		if s.machine.state != Down {
			t.Error("a peer that was silent all the time is not found out")
		}
	})
}
