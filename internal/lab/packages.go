//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const cniDir = "/usr/lib/cni"

// program is a file that must be there, and the Debian package of it.
type program struct{ file, pkg string }

// needed are those without which the lab, or what its users do in it, does not work.
var needed = []program{
	{"ip", "iproute2"},
	{"nsenter", "util-linux"},
	{"nft", "nftables"},
	{"iptables", "iptables"},
	{"conntrack", "conntrack"},
	{"containerd", "containerd"},
	{"runc", "runc"},
	{cniDir + "/ptp", "containernetworking-plugins"},
	{cniDir + "/host-local", "containernetworking-plugins"},
	{"arping", "iputils-arping"},
	{"ndisc6", "ndisc6"},
	{"tcpdump", "tcpdump"},
	{"curl", "curl"},
	{"ping", "iputils-ping"},
}

// neededByRouters are those that speak BGP.
var neededByRouters = []program{
	{"/usr/lib/frr/bgpd", "frr"},
	{"bird", "bird2"},
}

// ensurePackages installs what is missing.
func ensurePackages(ctx context.Context, o Options, needed []program) error {
	missing := missingPackages(needed, present)
	if len(missing) == 0 {
		return nil
	}
	if !present("apt-get") {
		return fmt.Errorf("missing here are the programs of the Debian packages %s; install them, as there is no apt-get to do it",
			strings.Join(missing, ", "))
	}
	o.logf("Installing Debian packages, about a minute: %s", strings.Join(missing, " "))
	started := time.Now()
	if err := install(ctx, missing); err != nil {
		return fmt.Errorf("install Debian packages %s: %w", strings.Join(missing, ", "), err)
	}
	o.logf("Installed them in %s.", time.Since(started).Round(time.Second))
	if still := missingPackages(needed, present); len(still) > 0 {
		return fmt.Errorf("still missing after installation: %s", strings.Join(still, ", "))
	}
	return nil
}

func missingPackages(needed []program, present func(string) bool) []string {
	var missing []string
	for _, n := range needed {
		if !present(n.file) && !slices.Contains(missing, n.pkg) {
			missing = append(missing, n.pkg)
		}
	}
	return missing
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

// forbidServices makes Debian leave the services of new packages stopped: the lab runs its own.
func forbidServices() (restore func(), err error) {
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); !errors.Is(err, os.ErrNotExist) {
		return func() {}, err // the machine's own policy stays
	}
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return nil, err
	}
	return func() { os.Remove(policy) }, nil
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-qq"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, lastLines(string(out), 10))
	}
	return nil
}
