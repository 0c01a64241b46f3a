package flows

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/latest"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

const (
	// patience is how long Set waits for the kernel, which may be at work on a large change of kube-proxy's.
	patience = 100 * time.Millisecond
	// retry is how long to wait after a change that failed, and renewal when to look whether leases run out, and whether the tables are
	// still there: who reloads a firewall may remove all that he did not make.
	retry   = 5 * time.Second
	renewal = time.Minute
)

// MaxHops is the most nodes that a packet is passed on to: the TTL has room for no more.
const MaxHops = 15

// Observed is what is being done.
type Observed struct {
	// Addresses is how many have packets passed on.
	Addresses int
	// Error says why not; nil if all is well.
	Error error
}

// A Driver keeps the tables as they are desired.
type Driver struct {
	log     logr.Logger
	changed func()
	open    func(config.Family) kernel
	desired *latest.Value[order]

	observed atomic.Pointer[Observed]
}

// order is something to do, and what is closed when it is done.
type order struct {
	*announce.Passing

	done chan struct{}
}

// kernel is one family's table.
type kernel interface {
	// prepare makes the table, with rules for so many hops, and returns what entries it has: the next nodes, and the own addresses.
	prepare(hops int, now time.Time) (next, own table, err error)
	// apply makes changes, all or nothing.
	apply(c changes, now time.Time) error
	// remove deletes the table.
	remove() error
	// packets counts what was passed on since prepare; false if the table is not there.
	packets() (uint64, bool)
}

// New returns a Driver, which answers echo requests if ping is set. It calls changed when Observed has changed.
func New(log logr.Logger, ping bool, changed func()) *Driver {
	d := &Driver{log: log, changed: changed, desired: latest.New[order]()}
	d.open = func(f config.Family) kernel { return newKernel(f, ping) }
	d.observed.Store(&Observed{})
	return d
}

// Set replaces what is desired. Where other packets are to be passed on than before, it returns when the kernel does so, or after a
// while: an address is announced here only then, or its first packets would be refused. What is set is not to be changed. One
// goroutine may call it.
func (d *Driver) Set(want *announce.Passing) {
	before := d.desired.Get()
	if before != nil && before.Passing == want {
		return
	}
	o := order{want, make(chan struct{})}
	d.desired.Set(o)
	if before != nil && slices.Equal(before.Passes, want.Passes) {
		return
	}
	select {
	case <-o.done:
	case <-time.After(patience):
	}
}

// Observed returns what is being done.
func (d *Driver) Observed() Observed { return *d.observed.Load() }

// Passed counts the packets that were passed on since the speaker started. It asks the kernel.
func (d *Driver) Passed() uint64 {
	var sum uint64
	for _, f := range families {
		n, _ := d.open(f).packets()
		sum += n
	}
	return sum
}

var families = []config.Family{config.IPv4, config.IPv6}

// half is the table of one family.
type half struct {
	kernel kernel

	next, own table
	left      map[netip.Addr]bool
	// aggregates are there until then; zero if it is not known what is there.
	aggregates []netip.Prefix
	until      time.Time
	// hops that the table is prepared for; 0 before the first time.
	hops int
}

// gone is in place of hops where the table has to be prepared again.
const gone = -1

// Run keeps the tables until ctx ends. It leaves those that have entries, which the next speaker takes over.
func (d *Driver) Run(ctx context.Context) error {
	halves := map[config.Family]*half{}
	for _, f := range families {
		halves[f] = &half{kernel: d.open(f)}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var done chan struct{}
	for {
		select {
		case <-ctx.Done():
			return d.end(halves)
		case <-d.desired.News():
		case <-timer.C:
			look(halves)
		}
		o := d.desired.Get()
		if o == nil {
			o = &order{Passing: &announce.Passing{}}
		}
		err := converge(halves, o.Passing, time.Now())
		d.note(halves, err)
		if o.done != done {
			done = o.done
			close(done)
		}
		timer.Reset(renewal)
		if err != nil {
			timer.Reset(retry)
		}
	}
}

// look notes which tables are not there any more.
func look(halves map[config.Family]*half) {
	for _, h := range halves {
		if _, there := h.kernel.packets(); !there && h.hops > 0 {
			h.hops = gone
		}
	}
}

// converge makes both tables as they are desired. A family that fails does not keep the other from it.
func converge(halves map[config.Family]*half, want *announce.Passing, now time.Time) error {
	var failed error
	for _, f := range families {
		part := announce.Passing{
			Passes:     only(f, want.Passes, func(p announce.Pass) netip.Addr { return p.Addr }),
			Hops:       min(max(want.Hops, 1), MaxHops),
			Own:        only(f, want.Own, func(a netip.Addr) netip.Addr { return a }),
			Aggregates: only(f, want.Aggregates, netip.Prefix.Addr),
		}
		if err := halves[f].converge(&part, now); err != nil {
			failed = join(failed, err)
		}
	}
	return failed
}

// only returns what is of a family.
func only[T any](f config.Family, all []T, addr func(T) netip.Addr) (out []T) {
	for _, x := range all {
		if config.FamilyOf(addr(x)) == f {
			out = append(out, x)
		}
	}
	return out
}

// join says what is wrong with both families, in one line, and once if it is the same.
func join(a, b error) error {
	if a == nil || a.Error() == b.Error() {
		return b
	}
	return fmt.Errorf("%w; %w", a, b)
}

// converge makes the table as it is desired. Where that fails, the table may have been removed: it is tried again with another.
func (h *half) converge(want *announce.Passing, now time.Time) error {
	err := h.change(want, now)
	if err != nil && h.hops == gone {
		err = h.change(want, now)
	}
	return err
}

func (h *half) change(want *announce.Passing, now time.Time) error {
	if h.hops != want.Hops {
		next, own, err := h.kernel.prepare(want.Hops, now)
		if err != nil {
			return err
		}
		if h.hops == 0 {
			h.left = map[netip.Addr]bool{}
			for a := range next {
				h.left[a] = true
			}
		}
		h.next, h.own, h.hops, h.until = next, own, want.Hops, time.Time{}
	}
	h.next.expire(now)
	h.own.expire(now)
	c := changes{next: h.next.diff(want.Passes, h.left, now), own: h.own.diff(leased(want.Own), nil, now)}
	c.aggregates = outermost(want.Aggregates)
	c.replace = h.until.Before(now.Add(lease/2)) || !slices.Equal(h.aggregates, c.aggregates)
	if !c.empty() {
		if err := h.kernel.apply(c, now); err != nil {
			h.hops = gone
			return err
		}
		h.next.apply(c.next)
		h.own.apply(c.own)
		if c.replace {
			h.aggregates, h.until = c.aggregates, now.Add(lease)
		}
	}
	for _, p := range want.Passes {
		delete(h.left, p.Addr)
	}
	return nil
}

// leased are entries of addresses that stand for themselves.
func leased(own []netip.Addr) []announce.Pass {
	out := make([]announce.Pass, len(own))
	for i, a := range own {
		out[i] = announce.Pass{Addr: a, To: a}
	}
	return out
}

// note has Observed say what is so.
func (d *Driver) note(halves map[config.Family]*half, err error) {
	now := Observed{Error: err}
	for _, h := range halves {
		now.Addresses += len(h.next)
	}
	before := d.observed.Swap(&now)
	if text(before.Error) == text(now.Error) && before.Addresses == now.Addresses {
		return
	}
	if err != nil && text(before.Error) != text(err) {
		d.log.Error(err, "could not change nftables: open connections are not kept, and pings are not answered")
	}
	d.changed()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// end removes the tables that pass nothing on.
func (d *Driver) end(halves map[config.Family]*half) error {
	for _, f := range families {
		if h := halves[f]; h.hops > 0 && len(h.next) == 0 {
			if err := h.kernel.remove(); err != nil {
				d.log.Info("could not remove the table of nftables", "family", f, "reason", err.Error())
			}
		}
	}
	return nil
}
