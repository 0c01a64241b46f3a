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
	data                 string
}

// privateMounts hide the places where containerd, runc, CNI and the kubelet leave files whatever they are configured to,
// and show the processes of the lab only. The parts of / are shared among the lab's pods but not with the machine.
func privateMounts(p paths) []mount {
	return []mount{
		{target: "/", flags: unix.MS_REC | unix.MS_PRIVATE},
		{target: "/", flags: unix.MS_REC | unix.MS_SHARED},
		{source: "proc", target: "/proc", kind: "proc", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{source: "tmpfs", target: "/run", kind: "tmpfs", flags: unix.MS_NOSUID | unix.MS_NODEV, data: "mode=755"},
		{source: p.in("var-log"), target: "/var/log", flags: unix.MS_BIND},
		{source: p.in("var-lib-cni"), target: "/var/lib/cni", flags: unix.MS_BIND},
	}
}

func mountPrivately(p paths) error {
	for _, dir := range []string{p.namespaces(), p.in("var-log"), p.in("var-lib-cni"), "/var/lib/cni"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, m := range privateMounts(p) {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.source, m.target, err)
		}
	}
	return os.MkdirAll("/run/lock", 0o1777)
}
