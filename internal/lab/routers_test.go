//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/internal/router"
)

// peerConfig is that of a BIRD on node-1 which announces an address of each family, with or without a password.
const peerConfig = `
log stderr all;
router id 172.30.0.11;
protocol device { }
protocol static { ipv4; route 192.0.2.7/32 blackhole; }
protocol static { ipv6; route 2001:db8::7/128 blackhole; }
protocol bfd { interface "eth0" { interval 100 ms; multiplier 3; }; }
template bgp upstream {
  local as 64512;
  connect delay time 1; connect retry time 1; error wait time 1, 1;
  bfd on;
  %s
  ipv4 { import none; next hop self; export filter { bgp_community.add((64512, 7)); accept; }; };
  ipv6 { import none; next hop self; export all; };
}
protocol bgp from upstream { neighbor 172.30.0.1 as 64513; }
protocol bgp from upstream { neighbor 172.30.0.4 as 64513; }
`

var announced = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::7/128")}

// checkRouters announces from a node, and sees that both routers take it up and let it go.
func checkRouters(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	kubectl(ctx, t, l, "", "patch", "service", "web", "--patch", `{"spec": {"externalIPs": ["192.0.2.7", "2001:db8::7"]}}`)
	if err := l.StartRouters(ctx, Routing{BFD: FastBFD}); err != nil {
		t.Fatal(err)
	}
	announcing(ctx, t, l, "", func() {
		waitRoutes(ctx, t, l, "node-1")
		for range 4 { // over either router
			waitPage(t, l, FarClient, "http://192.0.2.7")
			waitPage(t, l, FarClient, "http://[2001:db8::7]")
		}
		checkPaths(ctx, t, l)
		checkBFD(ctx, t, l)
	})
	if err := l.StartRouters(ctx, Routing{Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	announcing(ctx, t, l, `password "secret";`, func() { waitRoutes(ctx, t, l, "node-1") })
	if err := l.StopRouters(); err != nil {
		t.Fatal(err)
	}
	if nodes, err := l.Forwards(Router1, announced[0]); err != nil || len(nodes) > 0 {
		t.Errorf("a router that was stopped forwards to %v, %v", nodes, err)
	}
}

// announcing runs the peer while do runs.
func announcing(ctx context.Context, t *testing.T, l *Lab, security string, do func()) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "bird.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, peerConfig, security), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := l.Host("node-1").Command(ctx, "bird", "-f", "-c", config, "-s", filepath.Join(dir, "bird.ctl"))
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	do()
}

// waitRoutes waits until both routers lead to some nodes: in their kernels, and in their own words.
func waitRoutes(ctx context.Context, t *testing.T, l *Lab, want ...string) {
	t.Helper()
	onRouters(ctx, t, "wait for routes", func(ctx context.Context, host string) error {
		for _, prefix := range announced {
			nodes, err := l.Forwards(host, prefix)
			if err != nil {
				return err
			}
			paths, err := l.Paths(ctx, host, prefix)
			if err != nil {
				return err
			}
			if !slices.Equal(nodes, want) || len(paths) != len(want) {
				return fmt.Errorf("%s has %v for %s, and forwards to %v, want %v", host, paths, prefix, nodes, want)
			}
		}
		return nil
	})
}

func onRouters(ctx context.Context, t *testing.T, what string, is func(ctx context.Context, host string) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, host := range []string{Router1, Router2} {
		if err := eventually(ctx, what, func(ctx context.Context) error { return is(ctx, host) }); err != nil {
			t.Fatal(err)
		}
	}
}

func checkPaths(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	node := NodeAddrs(1).V4
	for host, preference := range map[string]uint32{Router1: 0, Router2: 100} { // FRR does not show its own
		want := []router.Path{{From: node, NextHop: node, Best: true, ASPath: []uint32{NodesASN}, LocalPref: preference, Communities: []string{"64512:7"}}}
		got, err := l.Paths(ctx, host, announced[0])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
			t.Errorf("paths at %s (-want +got):\n%s", host, diff)
		}
	}
}

// checkBFD pulls the node's cable when BFD is up, and the routers notice.
func checkBFD(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	onRouters(ctx, t, "wait for BFD", func(ctx context.Context, host string) error {
		up, err := l.BFDUp(ctx, host)
		if err == nil && len(up) != 1 {
			err = fmt.Errorf("at %s up with %v", host, up)
		}
		return err
	})
	if err := l.PullCable("node-1"); err != nil {
		t.Fatal(err)
	}
	pulled := time.Now()
	waitRoutes(ctx, t, l)
	if took := time.Since(pulled); took > 2*time.Second {
		t.Errorf("the routers noticed a pulled cable after %s", took)
	}
	if err := l.ReplugCable("node-1"); err != nil {
		t.Fatal(err)
	}
}
