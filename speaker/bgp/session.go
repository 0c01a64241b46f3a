package bgp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// A session is all that is done about one peer: attempts, and one guard at a time.
type session struct {
	driver *Driver
	engine *engine
	peer   atomic.Pointer[Peer]
	// from is where guards connect to GoBGP from.
	from netip.Addr
	stop context.CancelCauseFunc
	done chan struct{}
	// retry is sent to when it is worthwhile to try at once.
	retry    chan struct{}
	counters counters

	mu    sync.Mutex
	seen  Session
	guard *guard
	// cut ends the connection that there is.
	cut context.CancelCauseFunc
}

func (d *Driver) start(ctx context.Context, e *engine, p Peer) *session {
	working, stop := context.WithCancelCause(context.WithoutCancel(ctx)) // Run ends it, and says why
	s := &session{
		driver: d, engine: e, stop: stop, done: make(chan struct{}), retry: make(chan struct{}, 1), from: e.address(),
		seen: Session{Peer: p.Name, Address: p.Address, Since: time.Now(), Error: p.Fault},
	}
	s.peer.Store(&p)
	go func() {
		defer close(s.done)
		defer e.release(s.from)
		s.run(working)
	}()
	return s
}

// configure takes over what does not need another session.
func (s *session) configure(p Peer) { s.peer.Store(&p) }

// end ends the session for good. Where the router keeps the routes while the speaker restarts, no NOTIFICATION is sent, unless there is not going
// to be another session.
func (s *session) end(why *ending) {
	s.mu.Lock()
	graceful := s.guard != nil && s.guard.graceful.Load()
	s.mu.Unlock()
	if graceful && why != errDeconfigured {
		why = &ending{text: why.text}
	}
	s.stop(why)
}

// fail ends the connection that there is.
func (s *session) fail(why *ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut != nil {
		s.cut(why)
	}
}

func (s *session) observe() Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.seen
	o.Counters = s.counters.load()
	if s.guard != nil {
		o.Graceful = s.guard.graceful.Load()
		if o.State == Established {
			o.Routes = s.guard.ledger.len()
		}
	}
	return o
}

// become notes a state, and why there is no session; an empty error leaves the one that there is, unless it is established. It
// reports whether the error is another one.
func (s *session) become(state State, err string) (news bool) {
	s.mu.Lock()
	before := s.seen
	if s.seen.State = state; state != before.State {
		s.seen.Since = time.Now()
	}
	if err != "" || state == Established {
		s.seen.Error = err
	}
	after := s.seen
	s.mu.Unlock()
	if after != before {
		s.driver.options.Changed()
	}
	return after.Error != before.Error
}

// Attempts follow each other after these times, more or less, the latter at most as far as the peer's ConnectTime.
const (
	firstRetry = 250 * time.Millisecond
	// steady is how long a session must have been established for the next attempt to be a first one.
	steady = 10 * time.Second
)

// run tries until ctx ends.
func (s *session) run(ctx context.Context) {
	if s.peer.Load().Fault != "" {
		<-ctx.Done()
		return
	}
	wait := firstRetry
	for {
		began := time.Now()
		err := s.attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		p := s.peer.Load()
		if s.become(Active, err.Error()) {
			s.driver.options.Log.Info("no BGP session", "peer", p.Name, "reason", err.Error())
		}
		if time.Since(began) > steady {
			wait = firstRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-s.retry:
		case <-time.After(jitter(wait)):
		}
		wait = min(2*wait, p.ConnectTime)
	}
}

// jitter is between three quarters of a time and all of it (RFC 4271, section 10).
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/4+1) //nolint:gosec // it need not be hard to guess
}

// attempt connects to the router, and has a session with it until that ends.
func (s *session) attempt(ctx context.Context) error {
	p := *s.peer.Load()
	s.become(Connect, "")
	to, err := s.where(ctx, p)
	if err != nil {
		return err
	}
	router, err := dial(ctx, p, to)
	if err != nil {
		return err
	}
	connection, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	local, disengage, err := s.engine.engage(ctx, p, s.from)
	if err != nil {
		_ = router.Close() // nothing was said
		return err
	}
	defer disengage()
	g := &guard{
		peer: p, restarting: time.Since(s.driver.started) < max(p.RestartTime, time.Minute) && s.counters.established.Load() == 0, routerID: s.engine.routerID,
		table: s.driver.table, counters: &s.counters, router: router, engine: local,
		established: make(chan struct{}), out: make(chan []byte, 16), again: make(chan config.Family, 2),
	}
	g.report = func(state State, lacks string) {
		s.become(state, lacks)
		if state == Established {
			s.driver.options.Log.Info("BGP session established", "peer", p.Name, "address", to.String(), "asn", g.open.Load().asn, "lacks", lacks)
		}
	}
	s.mu.Lock()
	s.guard, s.cut = g, cut
	s.seen.Address, s.seen.Local = to, localOf(router)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.guard, s.cut = nil, nil
		s.seen.Local = netip.Addr{}
		s.mu.Unlock()
	}()
	if err := g.send(g.offer()); err != nil {
		_ = router.Close() // it does not hear
		_ = local.Close()
		return err
	}
	s.become(OpenSent, "")
	err = g.run(connection)
	if err == nil {
		err = errors.New("the session ended")
	}
	return err
}

// where is the address of the router.
func (s *session) where(ctx context.Context, p Peer) (netip.Addr, error) {
	if p.Interface == "" {
		return p.Address, nil
	}
	return s.driver.options.neighbour(ctx, p.Interface)
}
