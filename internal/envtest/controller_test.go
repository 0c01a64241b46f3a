//go:build linux

package envtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take. Nothing takes so long unless it is broken.
const patience = 30 * time.Second

// controller is one life of the program.
type controller struct {
	cmd  *exec.Cmd
	log  string
	gone chan struct{}
	err  error // how it ended, once gone is closed
}

// launch starts a controller, which ends with the test at the latest.
func launch(t *testing.T, args ...string) *controller {
	t.Helper()
	file, err := os.CreateTemp(shared.dir, "controller-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	args = append([]string{"--namespace", system, "--metrics-address", "0", "--health-address", "0"}, args...)
	c := &controller{cmd: exec.Command(shared.program, args...), log: file.Name(), gone: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), "KUBECONFIG="+shared.kubeconfig)
	c.cmd.Stdout, c.cmd.Stderr = file, file
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.gone)
		c.err = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("the end of the log of the controller with pid %d:\n%s", c.cmd.Process.Pid, c.tail())
		}
		os.Remove(c.log)
	})
	return c
}

// hasty are the flags of an election in which a leader that is silent is not waited for long.
var hasty = []string{"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=300ms"}

// pause has the controller stand still, as on a machine that is overloaded or moved.
func (c *controller) pause() { _ = c.cmd.Process.Signal(syscall.SIGSTOP) }

// resume has a paused controller go on.
func (c *controller) resume() { _ = c.cmd.Process.Signal(syscall.SIGCONT) }

// kill ends the controller without warning, and returns when it is gone.
func (c *controller) kill() {
	_ = c.cmd.Process.Kill()
	<-c.gone
}

// stop ends the controller as a kubelet would, and says whether it did so properly.
func (c *controller) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.gone:
		return c.err
	case <-time.After(patience):
		c.kill()
		return fmt.Errorf("did not end within %s of SIGTERM", patience)
	}
}

func (c *controller) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// leads reports whether the controller has become the leader, of those that take part in an election.
func (c *controller) leads() bool {
	data, err := os.ReadFile(c.log)
	return err == nil && bytes.Contains(data, []byte("uccessfully acquired lease"))
}

func (c *controller) tail() string {
	data, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return filepath.Base(c.log) + ":\n" + strings.Join(lines[max(0, len(lines)-15):], "\n")
}
