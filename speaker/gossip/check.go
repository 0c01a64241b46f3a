package gossip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	// patience is how long a kernel has to answer.
	patience = 100 * time.Millisecond
	// again is when a node is asked once more meanwhile, as packets get lost.
	again = 40 * time.Millisecond
	// kubelet is its port, asked too: the gossip's may be filtered between two nodes that are well.
	kubelet = 10250
)

// answers reports whether the kernel at an address accepts or refuses TCP connections.
func answers(ctx context.Context, at netip.Addr, port uint16) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ports := []uint16{port, kubelet}
	result := make(chan bool, 2*len(ports))
	dial := func(port uint16) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(at, port).String())
		if err == nil {
			_ = c.Close() // nothing was written
		}
		result <- err == nil || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
	}
	for _, p := range ports {
		go dial(p)
	}
	second := time.After(again)
	for left := 2 * len(ports); left > 0; {
		select {
		case <-second:
			for _, p := range ports {
				go dial(p)
			}
		case ok := <-result:
			if left--; ok {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
	return false
}
