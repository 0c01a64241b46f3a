package flows

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
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
	// prepare makes the table, with rules for so many hops, and returns what entries it has.
	prepare(hops int, now time.Time) (table, error)
	// apply makes a change, all or nothing.
	apply(c change, now time.Time) error
	// remove deletes the table.
	remove() error
	// packets counts what was passed on since prepare; false if the table is not there.
	packets() (uint64, bool)
}

// New returns a Driver. It calls changed when Observed has changed.
func New(log logr.Logger, changed func()) *Driver {
	d := &Driver{log: log, changed: changed, open: newKernel, desired: latest.New[order]()}
	d.observed.Store(&Observed{})
	return d
}

// Set replaces what is to be passed on. It returns when the kernel does so, or after a while: an address is announced here only
// then, or its first packets would be refused. What is set is not to be changed. One goroutine may call it.
func (d *Driver) Set(want *announce.Passing) {
	if before := d.desired.Get(); before != nil && before.Passing == want {
		return
	}
	o := order{want, make(chan struct{})}
	d.desired.Set(o)
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

	is   table
	left map[netip.Addr]bool
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
		var passes []announce.Pass
		for _, p := range want.Passes {
			if config.FamilyOf(p.Addr) == f {
				passes = append(passes, p)
			}
		}
		if err := halves[f].converge(passes, min(max(want.Hops, 1), MaxHops), now); err != nil {
			failed = join(failed, err)
		}
	}
	return failed
}

// join says what is wrong with both families, in one line, and once if it is the same.
func join(a, b error) error {
	if a == nil || a.Error() == b.Error() {
		return b
	}
	return fmt.Errorf("%w; %w", a, b)
}

// converge makes the table as it is desired. Where that fails, the table may have been removed: it is tried again with another.
func (h *half) converge(want []announce.Pass, hops int, now time.Time) error {
	err := h.change(want, hops, now)
	if err != nil && h.hops == gone {
		err = h.change(want, hops, now)
	}
	return err
}

func (h *half) change(want []announce.Pass, hops int, now time.Time) error {
	if h.hops != hops {
		is, err := h.kernel.prepare(hops, now)
		if err != nil {
			return err
		}
		if h.hops == 0 {
			h.left = map[netip.Addr]bool{}
			for a := range is {
				h.left[a] = true
			}
		}
		h.is, h.hops = is, hops
	}
	maps.DeleteFunc(h.is, func(_ netip.Addr, e entry) bool { return !e.until.After(now) })
	if c := h.is.diff(want, h.left, now); len(c.remove)+len(c.add) > 0 {
		if err := h.kernel.apply(c, now); err != nil {
			h.hops = gone
			return err
		}
		h.is.apply(c)
	}
	for _, p := range want {
		delete(h.left, p.Addr)
	}
	return nil
}

// note has Observed say what is so.
func (d *Driver) note(halves map[config.Family]*half, err error) {
	now := Observed{Error: err}
	for _, h := range halves {
		now.Addresses += len(h.is)
	}
	before := d.observed.Swap(&now)
	if text(before.Error) == text(now.Error) && before.Addresses == now.Addresses {
		return
	}
	if err != nil && text(before.Error) != text(err) {
		d.log.Error(err, "open connections are not kept when an address moves")
	}
	d.changed()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// end removes the tables that have no entries.
func (d *Driver) end(halves map[config.Family]*half) error {
	for _, f := range families {
		if h := halves[f]; h.hops > 0 && len(h.is) == 0 {
			if err := h.kernel.remove(); err != nil {
				d.log.Info("could not remove the table of nftables", "family", f, "reason", err.Error())
			}
		}
	}
	return nil
}
