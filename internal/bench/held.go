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

func (b *layer2) held(ctx context.Context) error {
	var lost []float64
	for range *planned {
		h, err := measure.Hold(ctx, connections, pulse, func(ctx context.Context) (net.Conn, error) {
			return b.Host(lab.Client).DialContext(ctx, "tcp", netip.AddrPortFrom(page, 80).String())
		})
		if err != nil {
			return err
		}
		err = b.kubectl(ctx, [][]string{restart, rolledOut})
		time.Sleep(settling)
		gone := h.Stop()
		if err != nil {
			return err
		}
		if len(gone) > 0 {
			progressf("%d lost, one by: %v", len(gone), gone[0])
		}
		lost = append(lost, float64(len(gone)))
		if err := b.healthy(ctx); err != nil {
			return err
		}
	}
	headingf("%d connections are kept open, with a request every %s on each, while all speakers are restarted, %d times.", connections, pulse, *planned)
	row("connections lost", "0", "%.0f", lost...)
	return nil
}
