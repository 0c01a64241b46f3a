//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/internal/netns"
)

// kinds are the namespaces of a host that a file in the anchor's mount namespace holds.
var kinds = []struct {
	name string
	flag int
}{
	{"net", unix.CLONE_NEWNET},
	{"uts", unix.CLONE_NEWUTS},
}

// onThread runs f on a thread of its own, which ends with it: f may leave the thread in other namespaces.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		result <- f()
	}()
	return <-result
}

// addHost makes a host's namespaces and returns its mount namespace. The others are held by files.
func addHost(p paths, host string) (mounts int, err error) {
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWUTS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Sethostname([]byte(host)); err != nil {
			return fmt.Errorf("set host name: %w", err)
		}
		for _, kind := range kinds {
			if err := hold("/proc/thread-self/ns/"+kind.name, p.namespace(host, kind.name)); err != nil {
				return err
			}
		}
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare mounts: %w", err)
		}
		if err := mountHost(); err != nil {
			return err
		}
		mounts, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	return mounts, err
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
func inHost(p paths, host string, mounts int, f func() error) error {
	return onThread(func() error {
		for _, kind := range kinds {
			if err := netns.Enter(p.namespace(host, kind.name), kind.flag); err != nil {
				return err
			}
		}
		// A thread that shares its working directory with others cannot leave their mount namespace.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Setns(mounts, unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter mounts of %s: %w", host, err)
		}
		return f()
	})
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}
