//go:build linux

package lab

import (
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
)

// hostSysctls make a host answer and forward at once. New namespaces take some values from the machine, so those which
// matter are written even if they are the kernel's defaults.
var hostSysctls = map[string]string{
	"net.ipv4.conf.all.rp_filter":            "0",
	"net.ipv4.conf.default.rp_filter":        "0",
	"net.ipv4.conf.all.send_redirects":       "0",
	"net.ipv4.conf.default.send_redirects":   "0",
	"net.ipv4.conf.all.accept_redirects":     "0",
	"net.ipv6.conf.all.accept_redirects":     "0",
	"net.ipv6.conf.default.accept_redirects": "0",
	"net.ipv6.conf.all.disable_ipv6":         "0",
	"net.ipv6.conf.default.disable_ipv6":     "0",
	"net.ipv6.conf.all.accept_dad":           "0",
	"net.ipv6.conf.default.accept_dad":       "0",
	"net.ipv6.conf.default.accept_ra":        "0",
	// Of several equal next hops each connection takes one, and none a neighbour that is known to be gone.
	"net.ipv4.fib_multipath_hash_policy": "1",
	"net.ipv6.fib_multipath_hash_policy": "1",
	"net.ipv4.fib_multipath_use_neigh":   "1",
	// A client that fetches 50 pages a second does not come to the same port again while a node's conntrack remembers it, for two
	// minutes: what follows after the first packet would be invalid there.
	"net.ipv4.ip_local_port_range": "1024 65535",
}

// forwardSysctls make nodes and routers forward.
var forwardSysctls = map[string]string{
	"net.ipv4.ip_forward":              "1",
	"net.ipv6.conf.all.forwarding":     "1",
	"net.ipv6.conf.default.forwarding": "1",
}

func (l *Lab) prepareHosts() error {
	var g errgroup.Group
	for _, name := range append(hostNames(l.options.Nodes), fabric) {
		g.Go(func() error {
			if err := l.prepareHost(name); err != nil {
				return fmt.Errorf("prepare host %s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (l *Lab) prepareHost(name string) error {
	err := l.Host(name).Do(func() error {
		if name == fabric {
			return writeSysctls(map[string]string{"net.ipv6.conf.default.disable_ipv6": "1"})
		}
		if err := writeSysctls(hostSysctls); err != nil {
			return err
		}
		if forwards(name) {
			return writeSysctls(forwardSysctls)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.netlink(name, func(h *netlink.Handle) error { return setUp(h, "lo") })
}

func forwards(host string) bool {
	return host == Router1 || host == Router2 || strings.HasPrefix(host, "node-")
}

func writeSysctls(values map[string]string) error {
	for name, value := range values {
		if err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
