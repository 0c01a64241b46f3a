package bfd

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// Options are what a Driver is made with.
type Options struct {
	Log logr.Logger
	// Changed, if set, is called after each change of a session's State, Cause or Error, and for each session that is new, by the
	// goroutine that owns all sessions. It must not block.
	Changed func(name string, s Status)
}

// A Session is one that is wanted.
type Session struct {
	// Name is the peer's, and different for each session.
	Name string
	// Peer has a zone if it is link-local.
	Peer netip.Addr
	// Local is what we send from; if it is not valid, what the kernel chooses.
	Local netip.Addr
	// Interface, if set, is the only one that packets are sent and heard on.
	Interface string
	// Multihop sessions may cross routers (RFC 5883). Others are with direct neighbours (RFC 5881).
	Multihop bool
	Profile  Profile
}

// key is what tells a session from others: the same, with another Profile, is the same session.
func (s Session) key() Session {
	s.Profile = Profile{}
	return s
}

// fault says why there can be no such session, if so.
func (s Session) fault() string {
	switch {
	case !s.Peer.IsValid() || s.Peer.IsUnspecified() || s.Peer.IsMulticast():
		return "there is no address of the peer"
	case s.Peer.Is4In6():
		return "the address of the peer is IPv4 mapped into IPv6"
	case s.Local.IsValid() && s.Local.Is4() != s.Peer.Is4():
		return "its own address is of another family than the peer's"
	case s.Peer.IsLinkLocalUnicast() && s.Multihop:
		return "a link-local address is never more than one hop away"
	case s.Peer.Is6() && s.Peer.IsLinkLocalUnicast() && s.Peer.Zone() == "" && s.Interface == "":
		return "a link-local address needs an interface"
	default:
		return ""
	}
}

// Status is what is observed of a session.
type Status struct {
	Name               string
	State, RemoteState State
	// Diagnostic is what we tell the peer, RemoteDiagnostic what it tells us.
	Diagnostic, RemoteDiagnostic Diagnostic
	// Cause is why the session is not up.
	Cause Cause
	// Since is when State became what it is.
	Since time.Time
	// Transmit is the interval at which we send, before jitter; Detection is for how long nothing has to be heard before the session
	// is lost, zero while nothing is known of the peer.
	Transmit, Detection time.Duration
	// Local and Remote are the discriminators; Remote is 0 while nothing is known of the peer.
	Local, Remote uint32
	// RemoteIndependent tells that the peer's BFD survives a restart of its control plane (the C bit, RFC 5882 section 4.3).
	RemoteIndependent bool
	// Error is why packets cannot be sent or heard, if so. It is tried again.
	Error    string
	Counters Counters
}

// Counters count since the session was wanted.
type Counters struct {
	Received, Sent uint64 // packets
	Ups, Downs     uint64 // times that the session came up, and that it was lost or ended
	Discards       Discards
}

// A Driver has the sessions that are wanted.
type Driver struct {
	options  Options
	network  network
	random   func() float64
	number   func() uint32
	desired  atomic.Pointer[[]Session]
	wake     chan struct{}
	observed atomic.Pointer[[]*record]
	discards counts
}

// New returns a Driver without sessions.
func New(o Options) *Driver {
	if o.Changed == nil {
		o.Changed = func(string, Status) {}
	}
	d := &Driver{options: o, network: kernel{}, random: random, number: number, wake: make(chan struct{}, 1)}
	d.desired.Store(&[]Session{})
	d.observed.Store(&[]*record{})
	return d
}

// Set replaces the sessions that are wanted. Those that are the same but for their Profile stay up. Those that are not wanted any more are
// ended by AdminDown. It never blocks; the last call wins.
func (d *Driver) Set(all []Session) {
	d.desired.Store(&all)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Observed returns all sessions, in the order of Set.
func (d *Driver) Observed() []Status {
	records := *d.observed.Load()
	all := make([]Status, len(records))
	for i, r := range records {
		all[i] = r.load()
	}
	return all
}

// Discards counts packets that belong to no session.
func (d *Driver) Discards() Discards { return d.discards.load() }

// record is what others may read of a session at any time.
type record struct {
	status                     atomic.Pointer[Status]
	received, sent, ups, downs atomic.Uint64
	discards                   counts
}

func (r *record) load() Status {
	s := *r.status.Load()
	s.Counters = Counters{r.received.Load(), r.sent.Load(), r.ups.Load(), r.downs.Load(), r.discards.load()}
	return s
}

type counts [discards]atomic.Uint64

func (c *counts) load() (out Discards) {
	for i := range c {
		out[i] = c[i].Load()
	}
	return out
}

// Run has the sessions until ctx ends. Then it tells all peers that their sessions end for administrative reasons, so that none takes
// it for a failure (RFC 5882 section 3.2), which takes a moment, and returns nil.
func (d *Driver) Run(ctx context.Context) error {
	l := newLoop(d)
	defer l.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var set time.Time // what the timer is set to
	done := ctx.Done()
	for !l.left() {
		all := true
		select {
		case <-done:
			done = nil
			l.leave(time.Now())
		case <-d.wake:
			if done != nil {
				l.converge(time.Now())
			}
		case in := <-l.heard:
			all = false
			l.receive(time.Now(), in)
		case f := <-l.failed:
			l.lost(time.Now(), f)
		case <-timer.C:
			l.overslept(time.Now(), set)
			set = time.Time{}
		}
		now := time.Now()
		if all {
			l.serveAll(now)
		}
		if l.armed != set && !l.armed.IsZero() {
			timer.Reset(max(0, l.armed.Sub(now)))
		}
		set = l.armed
	}
	return nil
}
