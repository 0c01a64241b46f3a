package responder

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/bpf"
	"golang.org/x/sync/errgroup"

	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// Desired is everything that a Responder is to do.
type Desired struct {
	Links     []link.Link
	Addresses []announce.L2
}

// Stats counts packets since the start.
type Stats struct {
	// Requests for our addresses, replies to them, packets that claim one unasked, and
	// packets that could not be sent.
	Requests, Replies, Claims, Errors atomic.Uint64
}

// Observed is what a Responder does.
type Observed struct {
	// Answering are the addresses that are answered for on at least one link, sorted.
	Answering []netip.Addr
	// Errors say of a link, by its name, why it is not served.
	Errors map[string]string
}

// retry is how long to wait before a socket that failed is opened again.
const retry = time.Second

// A Responder answers neighbours by one protocol on the links of this node.
type Responder struct {
	// Stats counts packets.
	Stats Stats

	protocol Protocol
	log      logr.Logger
	open     func(link.Link, Protocol, []bpf.RawInstruction) (conn, error)
	desired  atomic.Pointer[Desired]
	wake     chan struct{}
	observed atomic.Pointer[Observed]
	onChange func()
}

// New returns a Responder that answers for nothing until Set. After each change
// of what it observes it calls changed, which must not block.
func New(p Protocol, log logr.Logger, changed func()) *Responder {
	r := &Responder{protocol: p, log: log, open: listen, wake: make(chan struct{}, 1), onChange: changed}
	r.desired.Store(&Desired{})
	r.observed.Store(&Observed{})
	return r
}

// Protocol returns what the Responder answers by.
func (r *Responder) Protocol() Protocol { return r.protocol }

// Set replaces what is to be done; addresses that are not for the protocol are ignored. It never blocks; the last call wins.
func (r *Responder) Set(d Desired) {
	r.desired.Store(&d)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Observed returns what is being done. Not to be changed.
func (r *Responder) Observed() *Observed { return r.observed.Load() }

// loop is the state of Run, which one goroutine owns.
type loop struct {
	*Responder
	sockets  map[int]*socket // by index of the link
	failed   chan *socket
	schedule schedule
	group    *errgroup.Group
}

// Run answers until ctx ends; then it closes its sockets and returns nil.
func (r *Responder) Run(ctx context.Context) error {
	var group errgroup.Group
	l := &loop{Responder: r, sockets: map[int]*socket{}, failed: make(chan *socket), schedule: schedule{}, group: &group}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for i := range l.sockets {
				l.shut(i)
			}
			return group.Wait()
		case s := <-l.failed:
			if l.sockets[s.link.Index] == s {
				l.shut(s.link.Index)
			}
		case <-r.wake:
		case <-timer.C:
		}
		again := l.converge()
		now := time.Now()
		for _, t := range l.schedule.due(now) {
			l.sockets[t.link].claim(t.addr)
		}
		if wait, ok := l.schedule.next(now); ok {
			again = min(again, wait)
		}
		timer.Reset(again)
	}
}

// idle is how long to wait when there is nothing to do.
const idle = time.Hour

// converge makes the sockets match what is desired, and returns after how long to try again.
func (l *loop) converge() time.Duration {
	want := l.desired.Load()
	byLink := perLink(want.Addresses, l.protocol.For)
	errs := map[string]string{}
	keep := map[int]bool{}
	for _, k := range want.Links {
		addrs := byLink[k.Name]
		if len(addrs) == 0 {
			continue
		}
		keep[k.Index] = true
		if err := l.serve(k, addrs); err != nil {
			errs[k.Name] = err.Error()
		}
	}
	for i := range l.sockets {
		if !keep[i] {
			l.shut(i)
		}
	}
	l.observe(errs)
	if len(errs) > 0 {
		return retry
	}
	return idle
}

// serve answers for the addresses on a link, and starts to tell of those that are new there.
func (l *loop) serve(k link.Link, addrs []netip.Addr) error {
	s := l.sockets[k.Index]
	if s != nil && !link.Equal([]link.Link{identity(s.link)}, []link.Link{identity(k)}) {
		l.shut(k.Index)
		s = nil
	}
	if s == nil {
		var err error
		if s, err = l.start(k); err != nil {
			return err
		}
	}
	before := *s.addrs.Load()
	if slices.Equal(before, addrs) {
		return nil
	}
	if err := s.answer(addrs); err != nil {
		l.shut(k.Index)
		return err
	}
	l.tell(k.Index, before, addrs)
	return nil
}

// identity is what of a link a socket depends on.
func identity(k link.Link) link.Link { return link.Link{Index: k.Index, Name: k.Name, MAC: k.MAC} }

func (l *loop) start(k link.Link) (*socket, error) {
	nothing, err := l.protocol.Filter(nil)
	if err != nil {
		return nil, err
	}
	c, err := l.open(k, l.protocol, nothing)
	if err != nil {
		return nil, err
	}
	s := &socket{
		protocol: l.protocol, link: k, conn: c, stats: &l.Stats, log: l.log,
		closing: make(chan struct{}), done: make(chan struct{}),
	}
	s.addrs.Store(&[]netip.Addr{})
	l.sockets[k.Index] = s
	l.group.Go(func() error {
		err := s.serve()
		select {
		case l.failed <- s:
			l.log.V(1).Info("socket closed", "link", k.Name, "reason", err.Error())
		case <-s.closing:
		}
		return nil
	})
	return s, nil
}

// tell starts and ends bursts for the addresses that a link has gained and lost.
func (l *loop) tell(index int, before, now []netip.Addr) {
	at := time.Now()
	for _, a := range now {
		if _, had := slices.BinarySearchFunc(before, a, netip.Addr.Compare); !had {
			l.schedule.gain(target{index, a}, at)
		}
	}
	for _, a := range before {
		if _, has := slices.BinarySearchFunc(now, a, netip.Addr.Compare); !has {
			l.schedule.drop(target{index, a})
		}
	}
}

func (l *loop) shut(index int) {
	s := l.sockets[index]
	delete(l.sockets, index)
	l.tell(index, *s.addrs.Load(), nil)
	s.close()
}

func (l *loop) observe(errs map[string]string) {
	o := &Observed{Errors: errs}
	for _, s := range l.sockets {
		o.Answering = append(o.Answering, *s.addrs.Load()...)
	}
	slices.SortFunc(o.Answering, netip.Addr.Compare)
	o.Answering = slices.Compact(o.Answering)
	before := l.observed.Swap(o)
	if slices.Equal(before.Answering, o.Answering) && maps.Equal(before.Errors, o.Errors) {
		return
	}
	for name, err := range errs {
		if before.Errors[name] != err {
			l.log.Info("link is not served, trying again", "link", name, "reason", err)
		}
	}
	l.onChange()
}

// perLink returns the addresses of one family of each link, by its name, sorted.
func perLink(l2 []announce.L2, wanted func(netip.Addr) bool) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, a := range l2 {
		if !wanted(a.Address) {
			continue
		}
		for _, name := range a.Links {
			out[name] = append(out[name], a.Address)
		}
	}
	for name := range out {
		slices.SortFunc(out[name], netip.Addr.Compare)
	}
	return out
}
