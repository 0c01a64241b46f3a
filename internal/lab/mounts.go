//go:build linux

package lab

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

type mount struct {
	source, target, kind string
	flags                uintptr
}

// quiet are the flags of mounts that hold no programs and no devices.
const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// apart keeps changes of a mount namespace's mounts inside of it.
var apart = mount{target: "/", flags: unix.MS_REC | unix.MS_PRIVATE}

// toPods lets the pods of a host see its mounts.
var toPods = mount{target: "/", flags: unix.MS_REC | unix.MS_SHARED}

// mountAnchor changes what the lab sees of the machine's files, and nothing outside.
func mountAnchor(p paths) error {
	dir, err := unix.Open(p.dir(), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	err = mountAll(
		apart,
		mount{source: "proc", target: "/proc", kind: "proc", flags: quiet},
		mount{source: "tmpfs", target: "/var/lib", kind: "tmpfs", flags: unix.MS_NODEV},
		// What /var/lib now hides of the lab itself comes back.
		mount{source: fmt.Sprintf("/proc/self/fd/%d", dir), target: p.dir(), flags: unix.MS_BIND},
	)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.namespaces(), 0o700); err != nil {
		return err
	}
	return coverTunables()
}

// mountHost gives a host its own of the places where containerd, runc, CNI and the kubelet leave files whatever their
// flags, and of /sys, which shows the network of whoever mounts it.
func mountHost() error {
	cgroups, err := unix.Open(cgroupRoot, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(cgroups)
	return mountAll(
		apart,
		mount{source: "tmpfs", target: "/run", kind: "tmpfs", flags: unix.MS_NOSUID | unix.MS_NODEV},
		mount{source: "tmpfs", target: "/run/lock", kind: "tmpfs", flags: quiet},
		mount{source: "tmpfs", target: "/var/log", kind: "tmpfs", flags: quiet},
		mount{source: "tmpfs", target: "/var/lib/cni", kind: "tmpfs", flags: quiet},
		mount{source: "tmpfs", target: "/var/lib/kubelet", kind: "tmpfs", flags: quiet},
		mount{source: "sysfs", target: "/sys", kind: "sysfs", flags: quiet},
		mount{source: fmt.Sprintf("/proc/self/fd/%d", cgroups), target: cgroupRoot, flags: unix.MS_BIND | unix.MS_REC},
		toPods,
	)
}

func mountAll(mounts ...mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.source, m.target, err)
		}
	}
	return nil
}

// kubeletTunables are the values that a kubelet wants of the machine's kernel, and else writes.
var kubeletTunables = map[string]string{
	"kernel/keys/root_maxbytes": "25000000",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
}

// coverTunables lets kubelets read what they want to, so that the machine's own values stay as they are.
func coverTunables() error {
	dir, err := os.MkdirTemp("/var/lib", "tunables-")
	if err != nil {
		return err
	}
	for name, value := range kubeletTunables {
		file, err := os.CreateTemp(dir, "")
		if err != nil {
			return err
		}
		file.Close()
		if err := os.WriteFile(file.Name(), []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file.Name(), "/proc/sys/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover /proc/sys/%s: %w", name, err)
		}
	}
	return nil
}
