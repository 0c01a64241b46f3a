//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// removeLeftovers removes what a dead lab leaves: the link to it if something still holds its network, cgroups and files.
// The caller holds the lab's lock.
func removeLeftovers(ctx context.Context, p paths) error {
	return errors.Join(removeHostLink(p), removeCgroups(ctx, p), removeFiles(p))
}

func removeFiles(p paths) error {
	if err := os.RemoveAll(p.dir()); err != nil {
		return err
	}
	os.Remove("/var/lib/cni") // where the anchor mounts its own; stays if somebody uses it
	return nil
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

// leftCgroups lists the lab's cgroups, children first. They are below the root of cgroup v2, or of each hierarchy of v1.
func leftCgroups(p paths) ([]string, error) {
	var found []string
	for _, pattern := range []string{"*", "*/*"} {
		tops, err := filepath.Glob(filepath.Join(cgroupRoot, pattern))
		if err != nil {
			return nil, err
		}
		for _, top := range tops {
			if !strings.HasPrefix(filepath.Base(top), p.cgroupPrefix()) {
				continue
			}
			below, err := directories(top)
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		}
	}
	slices.Reverse(found)
	return found, nil
}

func directories(top string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			found = append(found, path)
		}
		return err
	})
	return found, err
}
