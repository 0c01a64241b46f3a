//go:build linux

package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/internal/netns"
)

// Host is a machine of the lab: a network namespace, with a host name.
type Host struct {
	// Name is what it is called in the lab, and by itself.
	Name string

	net, uts string
	// bin holds programs that only this host has, if it is there.
	bin string
}

// Host returns a host by its name: Control, Router1, Router2, Client, FarClient or a node.
func (l *Lab) Host(name string) *Host {
	return &Host{Name: name, net: l.namespace(name, "net"), uts: l.namespace(name, "uts"), bin: l.paths.in(name, "bin")}
}

// Hosts returns the names of all hosts.
func (l *Lab) Hosts() []string { return hostNames(l.options.Nodes) }

// namespace returns a path to a host's namespace that is good outside of the lab as well.
func (l *Lab) namespace(host, kind string) string {
	root := filepath.Join("/proc", strconv.Itoa(l.state.Anchor.PID), "root")
	return filepath.Join(root, l.paths.namespace(host, kind))
}

// Command returns a command that runs on the host, with the machine's files and processes. On routers that run, vtysh and birdc
// talk to the host's own.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + h.net, "--uts=" + h.uts, "--", name}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+h.bin+":"+os.Getenv("PATH"))
	return cmd
}

// Has reports whether a process is on the host's network, as are those of pods that use it.
func (h *Host) Has(pid int) bool {
	var own, its unix.Stat_t
	if unix.Stat(h.net, &own) != nil || unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &its) != nil {
		return false
	}
	return own.Dev == its.Dev && own.Ino == its.Ino
}

// Do calls f on a thread that is on the host's network, as netns.Do does.
func (h *Host) Do(f func() error) error { return netns.Do(h.net, f) }

// DialContext connects from the host, to an address (not a name): it suits http.Transport.
func (h *Host) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	if _, err := resolveNothing(address); err != nil {
		return nil, err
	}
	err = h.Do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// resolveNothing refuses names: looking them up takes goroutines, which would ask the machine's own network.
func resolveNothing(address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if net.ParseIP(host) == nil {
		return "", fmt.Errorf("dial %s: the lab has addresses only, no names", address)
	}
	return host, nil
}
