//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/debian"
	"github.com/fairlead-lb/fairlead/internal/router"
)

// The autonomous systems of nodes and routers.
const (
	NodesASN   = 64512
	RoutersASN = 64513
)

// The components of the routers: FRR runs on router-1, BIRD on router-2.
const (
	Zebra = Router1 + "/zebra"
	BFDd  = Router1 + "/bfdd"
	BGPd  = Router1 + "/bgpd"
	BIRD  = Router2 + "/bird"
)

// Routing is how both routers are configured for the nodes. They take sessions from all of them, over IPv4 and IPv6, accept all
// routes of both families and use up to eight next hops at a time. Their own timers of BGP are long, so that the nodes' count.
type Routing struct {
	// Password signs the sessions (RFC 2385), unless it is empty.
	Password string
	// BFD is asked for with these timers, unless they are zero. Nodes that do not speak it are peers all the same.
	BFD BFD
	// Graceful has BIRD keep the routes of a node whose speaker restarts although BFD ends, and so those of a dead node, too. FRR
	// tells the two apart.
	Graceful bool
}

// BFD are the timers of a BFD session.
type BFD struct {
	Interval   time.Duration
	Multiplier int
}

// FastBFD notices a dead neighbour after 0.3 s.
var FastBFD = BFD{Interval: 100 * time.Millisecond, Multiplier: 3}

func (b BFD) millis() int64 { return b.Interval.Milliseconds() }

// StartRouters starts the routers' BGP, or starts it again with another configuration. Without it they only forward.
// It installs FRR and BIRD if this is the machine's first time.
func (l *Lab) StartRouters(ctx context.Context, r Routing) error {
	if err := debian.Ensure(ctx, l.options.logf, router.Programs...); err != nil {
		return err
	}
	if err := l.StopRouters(); err != nil {
		return err
	}
	for _, host := range []routerHost{l.frr(), l.bird()} {
		if err := host.prepare(r); err != nil {
			return fmt.Errorf("configure %s: %w", host.name, err)
		}
		if err := l.startRouter(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// StopRouters ends the routers' BGP, as far as it runs.
func (l *Lab) StopRouters() error {
	all, err := l.Components()
	if err != nil {
		return err
	}
	for _, c := range all { // in the order of their names: zebra, which takes the routes from the kernel, after those who gave them
		if c.Running && (strings.HasPrefix(c.Name, Router1+"/") || strings.HasPrefix(c.Name, Router2+"/")) {
			if err := l.Stop(c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// startRouter starts daemons in their order, each when the one before can be talked to.
func (l *Lab) startRouter(ctx context.Context, r routerHost) error {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	known, err := l.Components()
	if err != nil {
		return err
	}
	for _, d := range r.daemons {
		if slices.ContainsFunc(known, func(s Status) bool { return s.Name == d.Name }) {
			err = l.Start(d.Name)
		} else {
			err = l.run(d.Component)
		}
		if err != nil {
			return err
		}
		if err := waitSocket(ctx, d.socket); err != nil {
			return err
		}
	}
	return nil
}

// routerHost is a router, its programs in the order in which they start, and their configuration.
type routerHost struct {
	name, dir string
	user      string // who owns its files
	daemons   []daemon
	config    func(Routing) map[string]string // by file
	// client is the program to ask them with, as it is run on the machine.
	client []string
}

type daemon struct {
	Component
	socket string
}

// frr runs as the user whom its package made, as it insists on that user's group.
func (l *Lab) frr() routerHost {
	r := routerHost{name: Router1, dir: l.paths.in(Router1), user: "frr", config: frrConfig}
	r.client = []string{"/usr/bin/vtysh", "--vty_socket", r.dir}
	for _, name := range []string{Zebra, BFDd, BGPd} {
		program := filepath.Base(name)
		args := []string{
			"/usr/lib/frr/" + program, "--log", "stdout", "--config_file", filepath.Join(r.dir, program+".conf"),
			"--pid_file", filepath.Join(r.dir, program+".pid"), "--socket", filepath.Join(r.dir, "zserv.api"), "--vty_socket", r.dir, "--vty_port", "0",
		}
		if name == BFDd {
			args = append(args, "--bfdctl", filepath.Join(r.dir, "bfdd.sock"))
		}
		r.daemons = append(r.daemons, daemon{Component{Name: name, Host: Router1, Args: args}, filepath.Join(r.dir, program+".vty")})
	}
	return r
}

func (l *Lab) bird() routerHost {
	r := routerHost{name: Router2, dir: l.paths.in(Router2), user: "root", config: birdConfig}
	socket := filepath.Join(r.dir, "bird.ctl")
	r.client = []string{"/usr/sbin/birdc", "-s", socket}
	r.daemons = []daemon{{Component{Name: BIRD, Host: Router2, Args: []string{
		"/usr/sbin/bird", "-f", "-c", filepath.Join(r.dir, "bird.conf"), "-s", socket,
	}}, socket}}
	return r
}

// prepare writes what the router's programs read, and a script by which their client finds them.
func (r routerHost) prepare(to Routing) error {
	if err := os.MkdirAll(filepath.Join(r.dir, "bin"), 0o755); err != nil {
		return err
	}
	for name, text := range r.config(to) {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", strings.Join(r.client, " "))
	if err := os.WriteFile(filepath.Join(r.dir, "bin", filepath.Base(r.client[0])), []byte(script), 0o755); err != nil {
		return err
	}
	return give(r.dir, r.user)
}

// give makes a file a user's.
func give(path, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}
