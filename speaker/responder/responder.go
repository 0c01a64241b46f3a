package responder

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/bpf"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/fairlead-lb/fairlead/internal/latest"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// Options are what a Responder is made with.
type Options struct {
	Log logr.Logger
	// Changed, if set, is called after each change of what is observed. It must not block.
	Changed func()
	// Seen, if set, is called when somebody else claims an address of ours, at most once a
	// second for each address, link and claimant. It must not block.
	Seen func(Sighting)
	// Budget limits the packets that are sent unasked, answers are not; nil does not. Several may share one.
	Budget *rate.Limiter
}

// A Responder answers neighbours by one protocol on the links of this node.
type Responder struct {
	// Stats counts packets.
	Stats Stats

	protocol Protocol
	options  Options
	open     func(link.Link, Protocol, []bpf.RawInstruction) (conn, error)
	desired  *latest.Value[Desired]
	observed atomic.Pointer[Observed]
}

// New returns a Responder that answers for nothing until Set.
func New(p Protocol, o Options) *Responder {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Seen == nil {
		o.Seen = func(Sighting) {}
	}
	if o.Budget == nil {
		o.Budget = rate.NewLimiter(rate.Inf, 0)
	}
	r := &Responder{protocol: p, options: o, open: listen, desired: latest.New[Desired]()}
	r.desired.Set(Desired{})
	r.observed.Store(&Observed{})
	return r
}

// Protocol returns what the Responder answers by.
func (r *Responder) Protocol() Protocol { return r.protocol }

// Set replaces what is to be done; addresses that are not for the protocol are ignored. It never blocks; the last call wins.
func (r *Responder) Set(d Desired) { r.desired.Set(d) }

// Observed returns what is being done. Not to be changed.
func (r *Responder) Observed() *Observed { return r.observed.Load() }

// loop is the state of Run, which one goroutine owns.
type loop struct {
	*Responder
	group    *errgroup.Group
	sockets  map[int]*socket // by index of the link
	failed   chan *socket
	heard    chan claim
	schedule schedule
	macs     map[string]bool   // of all links of this node
	errs     map[string]string // by name of the link
	retry    time.Time         // of links with errors; zero if there are none
	retold   uint64            // the latest Desired.Retell
}

// Run answers until ctx ends; then it closes its sockets and returns nil.
func (r *Responder) Run(ctx context.Context) error {
	l := &loop{
		Responder: r, group: &errgroup.Group{}, sockets: map[int]*socket{}, schedule: newSchedule(),
		failed: make(chan *socket), heard: make(chan claim),
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for i := range l.sockets {
				l.shut(i)
			}
			return l.group.Wait()
		case s := <-l.failed:
			if l.current(s) {
				l.shut(s.link.Index)
				l.converge()
			}
		case <-r.desired.News():
			l.converge()
		case c := <-l.heard:
			l.hear(c)
		case <-timer.C:
			if !l.retry.IsZero() && !time.Now().Before(l.retry) {
				l.converge()
			}
		}
		timer.Reset(l.pause(l.tell()))
	}
}

// current reports whether a socket is still in use.
func (l *loop) current(s *socket) bool { return l.sockets[s.link.Index] == s }

// idle is how long to wait when there is nothing to do.
const idle = time.Hour

// pause returns how long to wait, where there is something to tell after wait.
func (l *loop) pause(wait time.Duration) time.Duration {
	if l.retry.IsZero() {
		return wait
	}
	return min(wait, max(0, time.Until(l.retry)))
}
