//go:build linux

package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const cgroupRoot = "/sys/fs/cgroup"

// makeCgroups makes the parent of each node's containers in every hierarchy: a kubelet complains if there is none.
func makeCgroups(p paths, nodes []string) error {
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range hierarchies {
		for _, node := range nodes {
			if err := os.Mkdir(filepath.Join(hierarchy, p.cgroup(node)), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// cgroupHierarchies lists the root of cgroup v2, or of each hierarchy of v1.
func cgroupHierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{cgroupRoot}, nil
	}
	files, err := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, file := range files {
		all = append(all, filepath.Dir(file))
	}
	return all, nil
}

// leftCgroups lists the lab's cgroups, children first.
func leftCgroups(p paths) ([]string, error) {
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, hierarchy := range hierarchies {
		entries, err := os.ReadDir(hierarchy)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), p.cgroupPrefix()) {
				continue
			}
			below, err := folders(filepath.Join(hierarchy, entry.Name()))
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		}
	}
	slices.Reverse(found)
	return found, nil
}

// folders lists a folder and all below, parents first.
func folders(top string) ([]string, error) {
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
