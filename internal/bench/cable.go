//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// fall is what the client saw when a node was lost, and when it came back.
type fall struct{ lost, back measure.Attempts }

func (b *layer2) cable(ctx context.Context) error {
	return b.falls(ctx, "The cable of the announcing node is pulled", *trials, b.fall)
}

func (b *layer2) outage(ctx context.Context) error {
	return b.falls(ctx, "The same while the API server is stopped", *outages, func(ctx context.Context) (f fall, err error) {
		if err := b.Stop(lab.APIServer); err != nil {
			return f, err
		}
		time.Sleep(settling)
		if f, err = b.fall(ctx); err != nil {
			return f, err
		}
		if err := b.Start(lab.APIServer); err != nil {
			return f, err
		}
		return f, b.Wake(ctx)
	})
}

func (b *layer2) falls(ctx context.Context, what string, times int, once func(context.Context) (fall, error)) error {
	var all []fall
	for i := range times {
		f, err := once(ctx)
		if err != nil {
			return err
		}
		progressf("%d: away for %s, and for %s when the node came back", i+1, f.lost.Gap(), f.back.Gap())
		all = append(all, f)
		if err := b.healthy(ctx); err != nil {
			return err
		}
	}
	headingf("%s, %d times; pods elsewhere. A client opens a connection every %s, and fetches a page within %s.", what, times, interval, patience)
	rowOf(all, "longest time without a page", "700 ms, 1000 ms", "%.0f ms", func(f fall) float64 { return millis(f.lost.Gap()) })
	rowOf(all, fmt.Sprintf("pages lost when the node comes back, within %s", settling), "0", "%.0f", func(f fall) float64 { return float64(len(f.back.Failed())) })
	return nil
}

func (b *layer2) fall(ctx context.Context) (f fall, err error) {
	node, err := b.holder(ctx)
	if err != nil {
		return f, err
	}
	f.lost, err = b.during(ctx, func(p *measure.Probe) error {
		if err := b.PullCable(node); err != nil {
			return err
		}
		b.recovered(ctx, p)
		return nil
	})
	if err != nil {
		return f, err
	}
	f.back, err = b.during(ctx, func(*measure.Probe) error {
		if err := b.ReplugCable(node); err != nil {
			return err
		}
		time.Sleep(settling)
		return nil
	})
	return f, err
}
