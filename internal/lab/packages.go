//go:build linux

package lab

import "github.com/fairlead-lb/fairlead/internal/debian"

const cniDir = "/usr/lib/cni"

// needed are those without which the lab, or what its users do in it, does not work.
var needed = []debian.Program{
	{File: "ip", Package: "iproute2"},
	{File: "nsenter", Package: "util-linux"},
	{File: "nft", Package: "nftables"},
	{File: "iptables", Package: "iptables"},
	{File: "conntrack", Package: "conntrack"},
	{File: "containerd", Package: "containerd"},
	{File: "runc", Package: "runc"},
	{File: cniDir + "/ptp", Package: "containernetworking-plugins"},
	{File: cniDir + "/host-local", Package: "containernetworking-plugins"},
	{File: "arping", Package: "iputils-arping"},
	{File: "ndisc6", Package: "ndisc6"},
	{File: "tcpdump", Package: "tcpdump"},
	{File: "curl", Package: "curl"},
	{File: "ping", Package: "iputils-ping"},
}
