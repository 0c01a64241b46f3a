//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// cleanPatience is how long a lab that was ended may hold on to what it had.
const cleanPatience = 20 * time.Second

// removeLeftovers removes what a dead lab leaves: the link to it if something still holds its network, cgroups and files.
// The caller holds the lab's lock.
func removeLeftovers(ctx context.Context, p paths) error {
	ctx, cancel := context.WithTimeout(ctx, cleanPatience)
	defer cancel()
	return errors.Join(removeHostLink(p), removeCgroups(ctx, p), os.RemoveAll(p.dir()))
}

// removeCgroups removes the nodes' cgroups of every hierarchy. A dying process may hold one for a moment.
func removeCgroups(ctx context.Context, p paths) error {
	for {
		err := tryRemoveCgroups(p)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tryRemoveCgroups(p paths) error {
	cgroups, err := leftCgroups(p)
	if err != nil {
		return err
	}
	for _, cgroup := range cgroups {
		if err := os.Remove(cgroup); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}
