//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

func (b *layer2) crowd(ctx context.Context) error {
	if missing := *services - len(b.have); missing > 0 {
		progressf("%d more Services", missing)
		if _, err := b.grow(ctx, missing); err != nil {
			return err
		}
	}
	if _, err := quiet(ctx, gossiping, b.speakers); err != nil {
		return err
	}
	time.Sleep(rest) // whatever is done a while later
	if err := b.idle(ctx); err != nil {
		return err
	}
	return b.takeOver(ctx)
}

// rest is how long nothing happens.
const rest = 30 * time.Second

// calm is what one node did while nothing happened.
type calm struct {
	cpu     time.Duration
	rss     int64
	traffic measure.Traffic
}

func (b *layer2) idle(ctx context.Context) error {
	all := make([]calm, len(b.Nodes()))
	g, _ := errgroup.WithContext(ctx)
	for i, name := range b.Nodes() {
		g.Go(func() (err error) {
			all[i], err = b.watchIdle(b.Host(name))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	headingf("Nothing happens for %s, with %d addresses: each node's speaker; then for as long, what passes the node's interface in and out.", rest, len(b.have))
	persec := func(n int) float64 { return float64(n) / rest.Seconds() }
	rowOf(all, "RSS of a speaker", "60 MiB", "%.1f MiB", func(c calm) float64 { return mib(c.rss) })
	rowOf(all, "CPU of a speaker, of one", "0.5 %", "%.2f %%", func(c calm) float64 { return 100 * c.cpu.Seconds() / rest.Seconds() })
	rowOf(all, "gossip", "", "%.1f packets/s", func(c calm) float64 { return persec(c.traffic.Gossip) })
	rowOf(all, "gossip", "", "%.0f bytes/s", func(c calm) float64 { return persec(c.traffic.GossipBytes) })
	rowOf(all, "ARP for the addresses", "", "%.1f packets/s", func(c calm) float64 { return persec(c.traffic.Neighbour) })
	return nil
}

// watchIdle looks at the process first, and then at what is sent: the sender pays for who listens.
func (b *layer2) watchIdle(node *lab.Host) (c calm, err error) {
	pid, err := measure.SpeakerOn(node)
	if err != nil {
		return c, err
	}
	before, err := measure.UsageOf(pid)
	if err != nil {
		return c, err
	}
	time.Sleep(rest)
	after, err := measure.UsageOf(pid)
	if err != nil {
		return c, err
	}
	c.cpu, c.rss = after.CPU-before.CPU, after.RSS
	c.traffic, err = measure.Sniff(node, "eth0", rest, crowd)
	return c, err
}

// takeOver pulls the cable of the node with the most addresses.
func (b *layer2) takeOver(ctx context.Context) error {
	var took, counts []float64
	for range *runs {
		node, its, err := b.busiest(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := b.PullCable(node); err != nil {
			return err
		}
		answers, err := measure.All(ctx, b.Host(lab.Client), *limit, its...)
		if err != nil {
			return err
		}
		var worst time.Duration
		for _, a := range its {
			worst = max(worst, since(began, a, answers))
		}
		progressf("%d of %d addresses of %s taken over after %s", len(answers), len(its), node, worst)
		took, counts = append(took, millis(worst)), append(counts, float64(len(its)))
		if err := b.ReplugCable(node); err != nil {
			return err
		}
		if err := b.healthy(ctx); err != nil {
			return err
		}
	}
	headingf("The cable of the node with the most of %d addresses is pulled, %d times. The client asks for them by ARP, %s.",
		len(b.have), *runs, "10,000 times a second in turn")
	row("addresses of the node", "", "%.0f", counts...)
	row("pulled → the last of them answered by another node", "2000 ms for 1,000", "%.0f ms", took...)
	return nil
}

// busiest returns the node that answers for most of the crowd, and for what.
func (b *layer2) busiest(ctx context.Context) (node string, its []netip.Addr, err error) {
	answers, err := measure.All(ctx, b.Host(lab.Client), 30*time.Second, b.have...)
	if err != nil {
		return "", nil, err
	}
	if len(answers) < len(b.have) {
		return "", nil, fmt.Errorf("%d of %d addresses are answered", len(answers), len(b.have))
	}
	by := map[string][]netip.Addr{}
	for address, a := range answers {
		by[b.hosts[a.MAC]] = append(by[b.hosts[a.MAC]], address)
	}
	for _, name := range b.Nodes() {
		if len(by[name]) > len(its) {
			node, its = name, by[name]
		}
	}
	return node, its, nil
}
