//go:build linux

package lab

import (
	"os"
	"path/filepath"
)

const (
	cniVersion = "1.0.0"
	noDAD      = "lab-no-dad"
)

// noDADPlugin makes a pod's IPv6 addresses usable at once. A new namespace starts with the kernel's defaults, by which a pod
// would spend two seconds on finding out that nobody else has its address.
const noDADPlugin = `#!/bin/sh
case $CNI_COMMAND in
ADD)
	nsenter --net="$CNI_NETNS" sh -c '
		echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
		echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad' >&2 || exit 1
	echo '{"cniVersion": "` + cniVersion + `"}'
	;;
VERSION)
	echo '{"cniVersion": "` + cniVersion + `", "supportedVersions": ["` + cniVersion + `"]}'
	;;
esac
`

// writeCNI writes the configuration of the node's pod network, and gathers its plugins.
func (n node) writeCNI() error {
	for _, dir := range []string{"cni", "cni-bin"} {
		if err := os.MkdirAll(n.in(dir), 0o755); err != nil {
			return err
		}
	}
	for _, plugin := range []string{"loopback", "ptp", "host-local"} {
		if err := os.Symlink(filepath.Join(cniDir, plugin), n.in("cni-bin", plugin)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(n.in("cni-bin", noDAD), []byte(noDADPlugin), 0o755); err != nil {
		return err
	}
	return os.WriteFile(n.in("cni", "10-lab.conflist"), []byte(toJSON(n.cniConfig())), 0o644)
}

// cniConfig gives every pod a link of its own to the node, which routes.
func (n node) cniConfig() object {
	var ranges []any
	for _, cidr := range PodCIDRs(n.n) {
		ranges = append(ranges, []object{{"subnet": cidr.String()}})
	}
	return object{
		"cniVersion": cniVersion,
		"name":       "lab",
		"plugins": []object{
			{"type": noDAD},
			{
				"type":   "ptp",
				"ipMasq": false,
				"ipam": object{
					"type":    "host-local",
					"dataDir": n.in("cni-data"),
					"ranges":  ranges,
					"routes":  []object{{"dst": defaultV4.String()}, {"dst": defaultV6.String()}},
				},
			},
		},
	}
}
