package netns

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Path returns the file of a namespace that "ip netns add" has made.
func Path(name string) string { return "/run/netns/" + name }

// Do calls f on a thread that is in a network namespace, which is a file such as that of Path. What f opens stays there; goroutines that it
// starts do not.
func Do(path string, f func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer func() { _ = unix.Close(home) }()
	if err := Enter(path, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		// A thread that cannot come home stays locked, and so ends with its goroutine.
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// Enter has the calling thread enter a namespace, whose kind is a flag of clone(2).
func Enter(path string, kind int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Setns(fd, kind); err != nil {
		return fmt.Errorf("enter %s: %w", path, err)
	}
	return nil
}
