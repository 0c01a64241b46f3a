//go:build linux

package main

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// connections are kept open, and each is used every pulse.
const (
	connections = 50
	pulse       = 100 * time.Millisecond
)

// holding keeps connections of a host to a page open while something is done, and returns how many are lost.
func (b *bench) holding(ctx context.Context, n int, from string, page netip.Addr, do func() error) (lost float64, err error) {
	h, err := measure.Hold(ctx, n, pulse, func(ctx context.Context) (net.Conn, error) {
		return b.Host(from).DialContext(ctx, "tcp", netip.AddrPortFrom(page, 80).String())
	})
	if err != nil {
		return 0, err
	}
	err = do()
	time.Sleep(settling)
	gone := h.Stop()
	if len(gone) > 0 {
		progressf("%d of %d connections lost, one by: %v", len(gone), n, gone[0])
	}
	return float64(len(gone)), err
}

func (b *layer2) held(ctx context.Context) error {
	var lost []float64
	for range *planned {
		gone, err := b.holding(ctx, connections, lab.Client, page, func() error { return b.kubectl(ctx, [][]string{restart, rolledOut}) })
		if err != nil {
			return err
		}
		lost = append(lost, gone)
		if err := b.healthy(ctx); err != nil {
			return err
		}
	}
	headingf("%d connections are kept open, with a request every %s on each, while all speakers are restarted, %d times.", connections, pulse, *planned)
	row("connections lost", "0", "%.0f", lost...)
	return nil
}
