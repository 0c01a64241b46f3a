//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Component is a process of the cluster: how to start it, and on which host.
type Component struct {
	// Name is also the name of its log: "etcd", or "node-1/kubelet".
	Name string
	Host string
	Args []string
	Env  []string
}

// Status is the state of a component.
type Status struct {
	Name    string
	Running bool
	// Exit says how it ended, when it is not running.
	Exit string
}

// stopPatience is how long a component may take to end when asked to.
const stopPatience = 10 * time.Second

// supervisor starts and ends components. As the first process of its namespace it also inherits every orphan.
type supervisor struct {
	paths    paths
	detached atomic.Bool

	mu         sync.Mutex     // held over a fork, so that a process is known before its end is
	mounts     map[string]int // each host's mount namespace
	components map[string]*running
	byPID      map[int]*running
}

// running is one component. pid and exit belong to the supervisor's mutex.
type running struct {
	Component
	pid  int // 0 when not running
	exit string
	done chan struct{} // closed when not running
}

func newSupervisor(p paths) *supervisor {
	return &supervisor{paths: p, mounts: map[string]int{}, components: map[string]*running{}, byPID: map[int]*running{}}
}

// reap collects all that ends, until the anchor does.
func (s *supervisor) reap() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	for range children {
		for s.reapOne() {
		}
	}
}

func (s *supervisor) reapOne() bool {
	var status unix.WaitStatus
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	if errors.Is(err, unix.EINTR) {
		return true
	}
	if pid <= 0 || err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byPID[pid]; r != nil {
		delete(s.byPID, pid)
		r.pid, r.exit = 0, describe(status)
		close(r.done)
	}
	return true
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return "killed by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

func (s *supervisor) addHost(name string) error {
	mounts, err := addHost(s.paths, name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mounts[name] = mounts
	return nil
}

func (s *supervisor) run(c Component) error {
	s.mu.Lock()
	if s.components[c.Name] != nil {
		s.mu.Unlock()
		return fmt.Errorf("start %s: there already is one", c.Name)
	}
	ended := make(chan struct{})
	close(ended)
	s.components[c.Name] = &running{Component: c, exit: neverStarted, done: ended}
	s.mu.Unlock()
	return s.start(c.Name)
}

func (s *supervisor) start(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	if r.pid != 0 {
		return fmt.Errorf("start %s: it runs", name)
	}
	pid, err := s.fork(r.Component)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	r.pid, r.exit, r.done = pid, "", make(chan struct{})
	s.byPID[pid] = r
	return nil
}

func (s *supervisor) find(name string) (*running, error) {
	if r := s.components[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("no such component; there are %s", strings.Join(s.names(), ", "))
}

func (s *supervisor) names() []string {
	var names []string
	for name := range s.components {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *supervisor) fork(c Component) (int, error) {
	log, err := openLog(s.paths.log(c.Name))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	var pid int
	err = inHost(s.paths, c.Host, s.mounts[c.Host], func() error {
		pid, err = syscall.ForkExec(c.Args[0], c.Args, &syscall.ProcAttr{
			Dir:   "/",
			Env:   append(os.Environ(), c.Env...),
			Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
		return err
	})
	return pid, err
}

func (s *supervisor) stop(name string) error {
	done, err := s.signal(name, unix.SIGTERM)
	if err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	select {
	case <-done:
		return nil
	case <-time.After(stopPatience):
		return s.kill(name)
	}
}

func (s *supervisor) kill(name string) error {
	done, err := s.signal(name, unix.SIGKILL)
	if err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	<-done
	return nil
}

// signal returns a channel that is closed when the component has ended, which may be long ago.
func (s *supervisor) signal(name string, sig unix.Signal) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err != nil {
		return nil, err
	}
	if r.pid == 0 {
		return r.done, nil
	}
	return r.done, unix.Kill(r.pid, sig)
}

func (s *supervisor) list() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Status
	for _, name := range s.names() {
		r := s.components[name]
		all = append(all, Status{Name: name, Running: r.pid != 0, Exit: r.exit})
	}
	return all
}
