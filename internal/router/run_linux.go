package router

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead-lb/fairlead/internal/debian"
)

// Programs are what FRR and BIRD are run with, and what is to be installed first.
var Programs = []debian.Program{
	{File: "nsenter", Package: "util-linux"},
	{File: "/usr/lib/frr/bgpd", Package: "frr"},
	{File: "/usr/sbin/bird", Package: "bird2"},
}

// patience is how long a daemon may take to start or to end.
const patience = 10 * time.Second

// FRR is the configuration of FRR's daemons, by name: "zebra", "bfdd", "bgpd" and so on. Those that are named are started.
type FRR map[string]string

// BIRD is the configuration of BIRD.
type BIRD string

// A Config is one of FRR or BIRD.
type Config interface {
	prepare(dir string) (daemons []daemon, client []string, err error)
}

// A Router is FRR or BIRD that runs. Any number may run at a time, each with files of its own in a folder of its own. It ends with
// the process that started it, however that ends.
type Router struct {
	netns, dir string
	daemons    []daemon
	client     []string
	running    map[string]*running
}

// daemon is a program, and where it can be talked to once it is there.
type daemon struct {
	name   string
	args   []string
	socket string
}

// Start starts a router in a network namespace, which is a file such as /run/netns/router, and waits until it can be asked. It has
// the programs installed if this is the machine's first time. It needs root.
func Start(ctx context.Context, logf func(format string, args ...any), netns string, c Config) (*Router, error) {
	if err := debian.Ensure(ctx, logf, Programs...); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fairlead-router-")
	if err != nil {
		return nil, err
	}
	r := &Router{netns: netns, dir: dir, running: map[string]*running{}}
	if r.daemons, r.client, err = c.prepare(dir); err == nil {
		err = r.startAll(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func (r *Router) startAll(ctx context.Context) error {
	for _, d := range r.daemons {
		if err := r.StartDaemon(ctx, d.name); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the router in an orderly way, and removes what it left.
func (r *Router) Stop() error {
	var errs []error
	for _, d := range slices.Backward(r.daemons) {
		errs = append(errs, r.StopDaemon(d.name))
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}

// StartDaemon starts a daemon that was ended, and waits until it can be asked.
func (r *Router) StartDaemon(ctx context.Context, name string) error {
	i := slices.IndexFunc(r.daemons, func(d daemon) bool { return d.name == name })
	if i < 0 {
		return fmt.Errorf("start %s: it is not part of the router", name)
	}
	d := r.daemons[i]
	_ = os.Remove(d.socket) // of one that was killed
	p, err := run(filepath.Join(r.dir, name+".log"), append([]string{"nsenter", "--net=" + r.netns}, d.args...))
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	r.running[name] = p
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if r.answers(ctx, d) {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("start %s: it ended:\n%s", name, r.Log(name))
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w:\n%s", name, ctx.Err(), r.Log(name))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// answers reports whether a daemon can be asked. BIRD listens before it has read its configuration, FRR's daemons after.
func (r *Router) answers(ctx context.Context, d daemon) bool {
	if _, err := os.Stat(d.socket); err != nil {
		return false
	}
	if r.client[0] != birdc {
		return true
	}
	_, err := r.Ask(ctx, "show status")
	return err == nil
}

// StopDaemon ends a daemon in an orderly way: it says goodbye to its neighbours.
func (r *Router) StopDaemon(name string) error {
	p := r.running[name]
	if p == nil {
		return nil
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		delete(r.running, name)
		return nil
	case <-time.After(patience):
		r.KillDaemon(name)
		return fmt.Errorf("stop %s: not after %s", name, patience)
	}
}

// KillDaemon ends a daemon at once, as if it had crashed.
func (r *Router) KillDaemon(name string) {
	if p := r.running[name]; p != nil {
		p.signal(syscall.SIGKILL)
		<-p.done
		delete(r.running, name)
	}
}

// Ask returns what the router answers to commands, each as it is typed into vtysh. To BIRD it is one.
func (r *Router) Ask(ctx context.Context, commands ...string) (string, error) {
	args := slices.Clone(r.client)
	for _, c := range commands {
		if args[0] == birdc {
			args = append(args, strings.Fields(c)...)
		} else {
			args = append(args, "-c", c)
		}
	}
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("ask router %q: %w: %s", commands, err, out)
	}
	return string(out), nil
}

// Log returns what a daemon wrote.
func (r *Router) Log(name string) string {
	text, err := os.ReadFile(filepath.Join(r.dir, name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

const (
	vtysh = "/usr/bin/vtysh"
	birdc = "/usr/sbin/birdc"
)

// prepare has all run as the user whom the package made, as they insist on that user's group.
func (f FRR) prepare(dir string) (daemons []daemon, client []string, err error) {
	if err := give(dir, "frr"); err != nil {
		return nil, nil, err
	}
	known := []string{"zebra", "staticd", "bfdd", "bgpd"} // in the order in which they are started
	for name := range f {
		if !slices.Contains(known, name) {
			return nil, nil, fmt.Errorf("no daemon of FRR's is known as %s", name)
		}
	}
	for _, name := range known {
		text, ok := f[name]
		if !ok {
			continue
		}
		file := filepath.Join(dir, name+".conf")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, nil, err
		}
		args := []string{
			"/usr/lib/frr/" + name, "--log", "stdout", "--config_file", file, "--pid_file", filepath.Join(dir, name+".pid"),
			"--socket", filepath.Join(dir, "zserv.api"), "--vty_socket", dir, "--vty_port", "0",
		}
		switch name {
		case "bfdd":
			args = append(args, "--bfdctl", filepath.Join(dir, "bfdd.sock"))
		case "bgpd":
			args = append(args, "--bgp_port", "179")
		}
		daemons = append(daemons, daemon{name, args, filepath.Join(dir, name+".vty")})
	}
	return daemons, []string{vtysh, "--vty_socket", dir}, nil
}

func (b BIRD) prepare(dir string) (daemons []daemon, client []string, err error) {
	file, socket := filepath.Join(dir, "bird.conf"), filepath.Join(dir, "bird.ctl")
	if err := os.WriteFile(file, []byte(b), 0o600); err != nil {
		return nil, nil, err
	}
	args := []string{"/usr/sbin/bird", "-f", "-c", file, "-s", socket}
	return []daemon{{"bird", args, socket}}, []string{birdc, "-s", socket}, nil
}

// give makes a file a user's.
func give(path, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	return os.Chown(path, uid, gid)
}

// running is a process that is the second of a process namespace. The first is a shell, which ends it when it is asked to
// itself; when that dies all die, and it is killed when we die. (A daemon that changes its user would not be.)
type running struct {
	cmd  *exec.Cmd
	done chan struct{}
}

const shell = `trap 'kill -TERM $!' TERM; "$@" & while wait $!; [ $? -gt 128 ]; do kill -0 $! 2>/dev/null || break; done`

// run starts a process that writes to a file.
func run(log string, args []string) (*running, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", shell, "sh"}, args...)...) //nolint:noctx // it ends by stop, in its own time
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &running{cmd, make(chan struct{})}
	started := make(chan error)
	go func() {
		// The process is killed when the thread dies that started it, so that has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		_ = out.Close()
	}()
	return p, <-started
}

func (p *running) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }
