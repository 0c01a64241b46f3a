package measure

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// routeBuffer holds the changes of tens of thousands of routes.
const routeBuffer = 32 << 20

// WatchRoutes begins to watch the routes of a host's kernel, with those that are there.
func WatchRoutes(h *lab.Host) (*Routes, error) {
	r := newRoutes()
	updates, done := make(chan netlink.RouteUpdate, 1024), make(chan struct{})
	err := h.Do(func() error {
		return netlink.RouteSubscribeWithOptions(updates, done, netlink.RouteSubscribeOptions{
			ListExisting: true, ReceiveBufferSize: routeBuffer, ReceiveBufferForceSize: true, ErrorCallback: func(err error) {
				select {
				case <-done: // it was stopped
				default:
					r.fail(err)
				}
			},
		})
	})
	if err != nil {
		return nil, fmt.Errorf("watch routes of %s: %w", h.Name, err)
	}
	r.stop = sync.OnceFunc(func() { close(done) })
	go func() {
		for u := range updates {
			if prefix, ok := prefixOf(u.Dst); ok && u.Table == unix.RT_TABLE_MAIN {
				r.note(prefix, RouteChange{time.Now(), hopsOf(u)})
			}
		}
	}()
	return r, nil
}

func prefixOf(n *net.IPNet) (p netip.Prefix, ok bool) {
	if n == nil {
		return p, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits), ok
}

func hopsOf(u netlink.RouteUpdate) int {
	if u.Type == unix.RTM_DELROUTE {
		return 0
	}
	return max(1, len(u.MultiPath))
}
