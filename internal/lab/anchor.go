//go:build linux

package lab

import (
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// anchorName is the first argument of the process that a lab lives in.
const anchorName = "fairlead-lab-anchor"

// What the anchor's creator hands it, after standard input, output and error.
const (
	lockFD     = 3 // the lab's lock, held until the anchor ends
	lifelineFD = 4 // reads end of file when the creator is gone
	readyFD    = 5 // takes what went wrong, then end of file
)

var initialised bool

// In an anchor the main goroutine keeps the main thread to itself. What /proc/PID/root shows is the mounts of that thread:
// were it one that onThread leaves in a host, those who look for namespaces there would find only the files that hold them.
func init() { //nolint:gochecknoinits // only here is the main goroutine on the main thread for certain
	if isAnchor() {
		runtime.LockOSThread()
	}
}

func isAnchor() bool { return len(os.Args) == 2 && os.Args[0] == anchorName }

// Init must be the first call of main, or of TestMain, in a program that calls Up: a lab lives in a copy of the program
// that started it, and Init is where that copy becomes the lab's anchor and never returns.
func Init() {
	initialised = true
	if !isAnchor() {
		return
	}
	if err := runAnchor(paths{filepath.Base(os.Args[1])}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runAnchor is the life of the first process of the lab's process and mount namespaces. When it ends the kernel ends all
// others, and takes back their mounts and the network namespaces that only those mounts held.
func runAnchor(p paths) error {
	for fd := lockFD; fd <= readyFD; fd++ {
		unix.CloseOnExec(fd)
	}
	ready := os.NewFile(readyFD, "ready")
	listener, err := openAnchor(p)
	if err != nil {
		fmt.Fprint(ready, err)
		return err
	}
	ready.Close()

	s := newSupervisor(p)
	go s.reap()
	go serve(listener, s)
	io.Copy(io.Discard, os.NewFile(lifelineFD, "lifeline"))
	if s.detached.Load() {
		select {}
	}
	return nil
}

func openAnchor(p paths) (net.Listener, error) {
	if err := mountAnchor(p); err != nil {
		return nil, err
	}
	return net.Listen("unix", p.anchorSocket())
}

func serve(listener net.Listener, s *supervisor) {
	server := rpc.NewServer()
	if err := server.RegisterName("Lab", &service{s}); err != nil {
		panic(err) // a method's signature is wrong
	}
	server.Accept(listener)
}

// service is what can be asked of the anchor by its socket.
type service struct {
	s *supervisor
}

// None stands for no argument or no result.
type None struct{}

// AddHosts makes the namespaces of hosts.
func (v *service) AddHosts(names []string, _ *None) error {
	for _, name := range names {
		if err := v.s.addHost(name); err != nil {
			return fmt.Errorf("add host %s: %w", name, err)
		}
	}
	return nil
}

// Run starts a component and remembers how.
func (v *service) Run(c Component, _ *None) error { return v.s.run(c) }

// Start starts a component again that was stopped.
func (v *service) Start(name string, _ *None) error { return v.s.start(name) }

// Stop ends a component and waits for its end.
func (v *service) Stop(name string, _ *None) error { return v.s.stop(name) }

// Kill ends a component without warning and waits for its end.
func (v *service) Kill(name string, _ *None) error { return v.s.kill(name) }

// List tells the state of every component.
func (v *service) List(_ None, out *[]Status) error {
	*out = v.s.list()
	return nil
}

// Detach makes the lab outlive its creator.
func (v *service) Detach(_ None, _ *None) error {
	v.s.detached.Store(true)
	return nil
}
