//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// kinds are the namespaces that every host has of its own.
var kinds = []struct {
	name string
	flag int
}{
	{"net", unix.CLONE_NEWNET},
	{"uts", unix.CLONE_NEWUTS},
}

// onThread runs f on a thread of its own, which is thrown away if f leaves it in another namespace.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		result <- f()
	}()
	return <-result
}

// addHost makes a host's namespaces and holds each by a mount, in the anchor's mount namespace.
func addHost(p paths, host string) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWUTS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Sethostname([]byte(host)); err != nil {
			return fmt.Errorf("set host name: %w", err)
		}
		for _, kind := range kinds {
			if err := hold(fmt.Sprintf("/proc/thread-self/ns/%s", kind.name), p.namespace(host, kind.name)); err != nil {
				return err
			}
		}
		return nil
	})
}

func hold(namespace, path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(namespace, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", namespace, path, err)
	}
	return nil
}

// inHost runs f in a host's namespaces. It works within the anchor only; others use Host.Do.
func inHost(p paths, host string, f func() error) error {
	return onThread(func() error {
		for _, kind := range kinds {
			if err := enter(p.namespace(host, kind.name), kind.flag); err != nil {
				return err
			}
		}
		return f()
	})
}

func enter(path string, flag int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, flag); err != nil {
		return fmt.Errorf("enter %s: %w", path, err)
	}
	return nil
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}
