//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var errLocked = errors.New("locked")

// lockLab takes the lab's lock, which its anchor holds as long as it lives, or returns errLocked.
// The file can be removed by its holder, so what was locked must still be what the path names.
func lockLab(p paths) (*os.File, error) {
	if err := os.MkdirAll(stateRoot, 0o755); err != nil {
		return nil, err
	}
	for {
		f, err := lockFile(p.lock())
		if err != nil {
			return nil, err
		}
		same, err := stillThere(f)
		if same || err != nil {
			return f, err
		}
		f.Close()
	}
}

// lockFile locks a file, or returns errLocked.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func stillThere(f *os.File) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(f.Name())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, named), err
}

// unlockLab removes the lock's file and gives the lock up.
func unlockLab(f *os.File) {
	os.Remove(f.Name())
	f.Close()
}

// lockOrphan takes the lab's lock. One that outlived its creator by a moment is waited for.
func lockOrphan(ctx context.Context, o Options, p paths) (*os.File, error) {
	lock, err := lockLab(p)
	if !errors.Is(err, errLocked) {
		return lock, err
	}
	s, err := readState(p)
	if err == nil && !s.Detached && !s.Creator.alive() {
		if err := s.Anchor.kill(ctx); err != nil {
			return nil, fmt.Errorf("end orphaned lab %s: %w", o.Name, err)
		}
		return lockDead(ctx, p)
	}
	return nil, fmt.Errorf("a lab named %q runs already, or is being started: end it with `make lab-down`, or use another name", o.Name)
}

// lockDead takes the lock of a lab that ends right now.
func lockDead(ctx context.Context, p paths) (lock *os.File, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanPatience)
	defer cancel()
	err = eventually(ctx, "lock "+p.lock(), func(context.Context) error {
		lock, err = lockLab(p)
		return err
	})
	return lock, err
}
