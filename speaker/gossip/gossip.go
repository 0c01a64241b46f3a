package gossip

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/fairlead-lb/fairlead/internal/latest"
)

// Port is where speakers talk to each other, UDP and TCP, by default.
const Port = 9478

// Options are what a Gossip needs.
type Options struct {
	Node string
	Port uint16
	// Grace is how long the speaker of a node that itself goes on may be away.
	Grace time.Duration
	Log   logr.Logger
	// Changed is called when Observed has changed. It must not block.
	Changed func()
	// Asked is called with what another speaker asks; Reply answers. Answered is called with the answer to what Ask has
	// asked. Neither may block.
	Asked    func(Question)
	Answered func(Answer)
}

// Desired is everything that a Gossip is to do.
type Desired struct {
	// Self is the address of this node; the zero Addr while it is not known.
	Self netip.Addr
	// Key of 16, 24 or 32 bytes that all speakers have; nil while there is none.
	Key []byte
	// Peers are the other nodes that have a speaker, with their addresses.
	Peers map[string]netip.Addr
	// Isolated: this node has no link to the others, and so cannot say anything of them.
	Isolated bool
	Report   Report
}

// Observed is what a Gossip has found out.
type Observed struct {
	// Members are the other nodes; empty while the speakers do not talk to each other.
	Members map[string]Member
	// Heals counts the nodes that were Gone and came back.
	Heals uint64
	// Error says why the speakers do not talk to each other; nil where they do.
	Error error
}

// A Gossip finds out which other nodes are there.
type Gossip struct {
	Options
	desired  *latest.Value[Desired]
	observed atomic.Pointer[Observed]
	// exchanges are questions and answers on their way.
	exchanges exchanges
	rejected  atomic.Uint64
	begin     func(name string, at netip.AddrPort, key []byte, w Report, on hooks, l logr.Logger) (list, error)
	answers   func(ctx context.Context, at netip.Addr, port uint16) bool
}

// New returns a Gossip that talks to nobody until Set.
func New(o Options) *Gossip {
	if o.Asked == nil {
		o.Asked = func(Question) {}
	}
	if o.Answered == nil {
		o.Answered = func(Answer) {}
	}
	g := &Gossip{Options: o, desired: latest.New[Desired](), begin: begin, answers: answers}
	g.desired.Set(Desired{})
	g.observed.Store(&Observed{})
	return g
}

// Set replaces what is to be done. It never blocks; the last call wins.
func (g *Gossip) Set(d Desired) { g.desired.Set(d) }

// Observed returns what has been found out. Not to be changed.
func (g *Gossip) Observed() *Observed { return g.observed.Load() }

// Rejected returns how many packets were not authentic, or heartbeats that were heard before.
func (g *Gossip) Rejected() uint64 { return g.rejected.Load() }

const (
	// retry is how long to wait after the list could not be started.
	retry = time.Second
	// meet is how often another missing node is called, at random: each speaker does, so one is enough.
	meet = 400 * time.Millisecond
	// overlap is how long the former key is understood after the key was exchanged.
	overlap = 30 * time.Second
	// checkInterval is how often the kernel of a node is asked whose speaker is away.
	checkInterval = 200 * time.Millisecond
)

// loop is the state of Run, which one goroutine owns.
type loop struct {
	*Gossip
	group   *errgroup.Group
	list    list
	doing   Desired   // what list got last
	rekeyed time.Time // zero where no former key is to be forgotten
	roster  roster
	err     error
	// isolated is what was desired last.
	isolated bool

	// asked says of a node when its kernel was asked last.
	asked    map[string]asking
	checks   chan check
	joining  bool
	joined   chan struct{}
	nextMeet time.Time
}

var errDeaf = errors.New("no other speaker is heard, though their nodes answer: is the port open between all nodes, UDP and TCP, and the key the same?")

type asking struct {
	at   time.Time
	busy bool
}

// check is what came of asking a node's kernel.
type check struct {
	name     string
	answered bool
}

// Run talks to the others until ctx ends; then it takes its leave and returns nil.
func (g *Gossip) Run(ctx context.Context) error {
	var group errgroup.Group
	l := &loop{
		Gossip: g, group: &group, asked: map[string]asking{}, checks: make(chan check), joined: make(chan struct{}),
		roster: roster{grace: g.Grace, peers: map[string]*peer{}},
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			l.stop()
			return group.Wait()
		case <-g.desired.News():
		case <-timer.C:
		case c := <-l.checks:
			l.asked[c.name] = asking{at: l.asked[c.name].at}
			if l.desired.Get().Isolated {
				break // it may have been asked in vain
			}
			l.roster.checked(c.name, c.answered, time.Now())
		case <-l.joined:
			l.joining = false
		}
		timer.Reset(l.converge(ctx))
		l.publish()
		l.exchange()
	}
}

// idle is how long to wait when there is nothing to do.
const idle = time.Hour

// converge does what is desired, and returns after how long to look again.
func (l *loop) converge(ctx context.Context) time.Duration {
	want, now := *l.desired.Get(), time.Now()
	if !want.Self.IsValid() || want.Key == nil {
		l.stop()
		return idle
	}
	if l.list != nil && l.doing.Self != want.Self {
		l.stop()
	}
	if err := l.tell(want); err != nil {
		if l.err == nil {
			l.Log.Info("the speakers cannot talk to each other, trying again", "reason", err.Error())
		}
		l.err = err
		return retry
	}
	l.roster.expect(slices.Sorted(maps.Keys(want.Peers)), now)
	l.roster.heard(l.list.alive(), now)
	if l.err = nil; l.roster.unheard(now) {
		l.err = errDeaf
	}
	if l.isolated && !want.Isolated {
		l.roster.restart(now)
	}
	if l.isolated = want.Isolated; l.isolated {
		return idle // who comes back takes nothing over that others have taken over
	}
	for _, name := range l.roster.doubted() {
		l.check(ctx, name, want.Peers[name], now)
	}
	return min(l.meet(ctx, want, now), l.forget(now))
}

// forget forgets a former key in time, and returns after how long to look again.
func (l *loop) forget(now time.Time) time.Duration {
	if l.rekeyed.IsZero() {
		return idle
	}
	if left := overlap - now.Sub(l.rekeyed); left > 0 {
		return left
	}
	l.list.forget()
	l.rekeyed = time.Time{}
	return idle
}

// tell starts the list, or tells it what has changed.
func (l *loop) tell(want Desired) (err error) {
	switch {
	case l.list == nil:
		on := hooks{changed: l.desired.Ring, inbox: l.receive, rejected: func() { l.rejected.Add(1) }}
		l.list, err = l.begin(l.Node, netip.AddrPortFrom(want.Self, l.Port), want.Key, want.Report, on, l.Log)
		if err != nil {
			l.list = nil
			return err
		}
	case !bytes.Equal(l.doing.Key, want.Key):
		if err := l.list.rekey(want.Key); err != nil {
			return err
		}
		l.rekeyed = time.Now()
		fallthrough
	default:
		if !l.doing.Report.equal(want.Report) {
			l.list.say(want.Report)
		}
	}
	l.doing = want
	return nil
}

func (l *loop) stop() {
	if l.list != nil {
		l.list.close()
		l.list = nil
	}
	l.roster.peers, l.rekeyed = map[string]*peer{}, time.Time{}
}

// check asks the kernel of a node: at once when the node is first missed, then now and again.
func (l *loop) check(ctx context.Context, name string, at netip.Addr, now time.Time) {
	a := l.asked[name]
	if a.busy || now.Sub(a.at) < checkInterval && !a.at.Before(l.roster.peers[name].since) {
		return
	}
	l.asked[name] = asking{now, true}
	l.group.Go(func() error {
		c := check{name, l.answers(ctx, at, l.Port)}
		select {
		case l.checks <- c:
		case <-ctx.Done():
			return nil
		}
		return nil
	})
}

// meet calls one of the missing, now and then, and returns after how long to look again.
func (l *loop) meet(ctx context.Context, want Desired, now time.Time) time.Duration {
	missing := l.roster.missing()
	if len(missing) == 0 {
		return idle
	}
	if wait := l.nextMeet.Sub(now); wait > 0 {
		return min(wait, checkInterval)
	}
	l.nextMeet = now.Add(meet)
	if l.joining {
		return checkInterval
	}
	l.joining = true
	one := missing[rand.IntN(len(missing))] //nolint:gosec // any will do
	list, at := l.list, netip.AddrPortFrom(want.Peers[one], l.Port)
	l.group.Go(func() error {
		if err := list.join(at); err != nil {
			l.Log.V(1).Info("could not meet another speaker", "address", at, "reason", err.Error())
		}
		select {
		case l.joined <- struct{}{}:
		case <-ctx.Done():
		}
		return nil
	})
	return checkInterval
}

// publish tells what has been found out, if it is news.
func (l *loop) publish() {
	now := &Observed{Members: l.roster.members(), Heals: l.roster.heals, Error: l.err}
	was := l.observed.Load()
	if maps.EqualFunc(was.Members, now.Members, Member.equal) && was.Heals == now.Heals && (was.Error == nil) == (now.Error == nil) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(now.Members)) {
		if is, before := now.Members[name].Presence, was.Members[name].Presence; is != before {
			l.Log.Info("what is known of a node has changed", "peer", name, "was", before.String(), "is", is.String())
		}
	}
	l.observed.Store(now)
	l.Changed()
}
