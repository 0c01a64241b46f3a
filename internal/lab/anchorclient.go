//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// spawned is an anchor that this process started.
type spawned struct {
	cmd *exec.Cmd
	// lifeline is a bare descriptor: an os.File would be closed, and the lab ended, by the garbage collector.
	lifeline int
	process  process
}

// spawnAnchor starts this program again as the anchor of a lab, and returns when its socket listens.
func spawnAnchor(p paths, lock *os.File) (*spawned, error) {
	log, err := openLog(p.log("anchor"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var life [2]int
	if err := unix.Pipe2(life[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	lifeRead := os.NewFile(uintptr(life[0]), "lifeline")
	defer lifeRead.Close()
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		unix.Close(life[1])
		return nil, err
	}
	defer readyRead.Close()

	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{anchorName, p.name}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{lock, lifeRead, readyWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	err = cmd.Start()
	readyWrite.Close()
	if err != nil {
		unix.Close(life[1])
		return nil, err
	}
	s := &spawned{cmd: cmd, lifeline: life[1]}
	s.process, err = identify(cmd.Process.Pid)
	problem, _ := io.ReadAll(readyRead)
	if len(problem) > 0 {
		err = errors.New(string(problem))
	}
	if err != nil {
		s.release()
		cmd.Wait()
		return nil, err
	}
	return s, nil
}

// release lets go of the anchor, which ends unless it was detached.
func (s *spawned) release() {
	unix.Close(s.lifeline)
}

// call asks the anchor for something.
func (p paths) call(ctx context.Context, method string, args, reply any) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.anchorSocket())
	if err != nil {
		return fmt.Errorf("reach lab %s: %w", p.name, err)
	}
	client := rpc.NewClient(conn)
	defer client.Close()
	done := client.Go("Lab."+method, args, reply, make(chan *rpc.Call, 1)).Done
	select {
	case <-ctx.Done():
		return ctx.Err()
	case call := <-done:
		return call.Error
	}
}
