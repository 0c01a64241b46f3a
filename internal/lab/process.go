//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process identifies one process for good: its number can be given to another one, but not with the same start time.
type process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

func identify(pid int) (process, error) {
	start, err := startTime(pid)
	return process{pid, start}, err
}

// startTime returns field 22 of /proc/PID/stat. The name in field 2 may hold anything, so fields count from its end.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("read /proc/%d/stat: %q", pid, stat)
	}
	return fields[19], nil
}

// open returns a handle on the process, or an error that is unix.ESRCH when it is gone.
func (p process) open() (int, error) {
	if p.PID <= 0 {
		return -1, unix.ESRCH
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return -1, err
	}
	if start, err := startTime(p.PID); err != nil || start != p.Start {
		unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

func (p process) alive() bool {
	fd, err := p.open()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return !exited(fd, 0)
}

// kill ends the process and waits until it is gone, with it the process namespace if it is the first one there.
func (p process) kill(ctx context.Context) error {
	fd, err := p.open()
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for !exited(fd, 100*time.Millisecond) {
		if ctx.Err() != nil {
			return fmt.Errorf("wait for process %d to end: %w", p.PID, ctx.Err())
		}
	}
	return nil
}

func exited(pidfd int, wait time.Duration) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, int(wait.Milliseconds()))
	return err == nil && n > 0
}
