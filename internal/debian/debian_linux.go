package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Ensure installs the packages of those programs that are missing, and says so by logf. Of several processes that do so one
// installs, and the others wait for it.
func Ensure(ctx context.Context, logf func(format string, args ...any), needed ...Program) error {
	if len(missing(needed, present)) == 0 {
		return nil
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	packages := missing(needed, present)
	if len(packages) == 0 {
		return nil
	}
	if !present("apt-get") {
		return fmt.Errorf("missing here are the programs of the Debian packages %s; install them, as there is no apt-get to do it",
			strings.Join(packages, ", "))
	}
	logf("Installing Debian packages, about a minute: %s", strings.Join(packages, " "))
	started := time.Now()
	if err := install(ctx, packages); err != nil {
		return fmt.Errorf("install Debian packages %s: %w", strings.Join(packages, ", "), err)
	}
	logf("Installed them in %s.", time.Since(started).Round(time.Second))
	if still := missing(needed, present); len(still) > 0 {
		return fmt.Errorf("still missing after installation: %s", strings.Join(still, ", "))
	}
	return nil
}

// lock waits until no other process installs.
func lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "fairlead-debian.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("wait for other installations: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for other installations: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// missing returns the packages of programs that are not there.
func missing(needed []Program, present func(string) bool) []string {
	var packages []string
	for _, n := range needed {
		if !present(n.File) && !slices.Contains(packages, n.Package) {
			packages = append(packages, n.Package)
		}
	}
	return packages
}

func present(file string) bool {
	if _, err := exec.LookPath(file); err == nil {
		return true
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} { // not on every user's path
		if _, err := os.Stat(dir + file); err == nil {
			return true
		}
	}
	return false
}

func install(ctx context.Context, packages []string) error {
	restore, err := forbidServices()
	if err != nil {
		return err
	}
	defer restore()
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	return apt(ctx, append([]string{"install", "--yes", "--no-install-recommends"}, packages...)...)
}

// forbidServices makes Debian leave the services of new packages stopped: the lab and the tests run their own.
func forbidServices() (restore func(), err error) {
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); !errors.Is(err, os.ErrNotExist) {
		return func() {}, err // the machine's own policy stays
	}
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(policy) }, nil
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-qq"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}
