//go:build linux

package measure

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// perMillisecond is how many questions an Asker asks in one, each address once at most.
const perMillisecond = 10

// Asker asks by ARP for addresses, in turn, until each has been answered for the first time.
type Asker struct {
	arp *ARP

	mu      sync.Mutex
	waiting []netip.Addr
	next    int // of those waiting, the one to ask for
	first   map[netip.Addr]Answer
}

// OpenAsker returns an asker that asks from an interface of a host, once it runs.
func OpenAsker(h *lab.Host, name string) (*Asker, error) {
	a, err := OpenARP(h, name)
	if err != nil {
		return nil, err
	}
	return &Asker{arp: a, first: map[netip.Addr]Answer{}}, nil
}

// Run asks until ctx ends. It closes the asker.
func (a *Asker) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		return a.arp.Close()
	})
	g.Go(func() error { return a.ask(ctx) })
	g.Go(a.hear)
	return g.Wait()
}

func (a *Asker) ask(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, address := range a.turn() {
			if err := a.arp.Ask(address); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func (a *Asker) hear() error {
	for {
		answer, err := a.arp.Hear()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		a.note(answer)
	}
}

// turn returns whom to ask for now.
func (a *Asker) turn() []netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []netip.Addr
	for range min(perMillisecond, len(a.waiting)) {
		a.next %= len(a.waiting)
		out = append(out, a.waiting[a.next])
		a.next++
	}
	return out
}

func (a *Asker) note(answer Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.waiting, answer.Address)
	if i < 0 {
		return
	}
	a.waiting = slices.Delete(a.waiting, i, i+1)
	a.first[answer.Address] = answer
}

// Expect begins to ask for addresses.
func (a *Asker) Expect(addresses ...netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, addresses...)
}

// Waiting returns how many addresses have not been answered.
func (a *Asker) Waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting)
}

// Answers returns the first answer for each address that has one.
func (a *Asker) Answers() map[netip.Addr]Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.first)
}

// All asks for addresses until each has been answered, or the time is over, and returns the first answers.
func All(ctx context.Context, h *lab.Host, limit time.Duration, addresses ...netip.Addr) (map[netip.Addr]Answer, error) {
	a, err := OpenAsker(h, "eth0")
	if err != nil {
		return nil, err
	}
	a.Expect(addresses...)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(running) })
	g.Go(func() error {
		for running.Err() == nil && a.Waiting() > 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		return nil
	})
	err = g.Wait()
	return a.Answers(), err
}

// Holders asks for an address for some time and returns the MAC addresses of all who answer, sorted.
func Holders(ctx context.Context, h *lab.Host, address netip.Addr, long time.Duration) ([]string, error) {
	a, err := OpenARP(h, "eth0")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error {
		for ctx.Err() == nil {
			if err := a.Ask(address); err != nil {
				return errors.Join(err, a.Close())
			}
			time.Sleep(20 * time.Millisecond)
		}
		return a.Close()
	})
	g.Go(func() error {
		for {
			answer, err := a.Hear()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
			if answer.Address == address {
				seen[answer.MAC] = true
			}
		}
	})
	err = g.Wait()
	return slices.Sorted(maps.Keys(seen)), err
}
