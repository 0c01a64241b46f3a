//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// The components of a node. A component's full name is NODE/NAME.
const (
	Containerd = "containerd"
	Kubelet    = "kubelet"
	KubeProxy  = "kube-proxy"
)

// sbinPath finds what the components call: iptables and nft, runc, the shim, mount.
const sbinPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// node is one node's number, and what its files and components are made from.
type node struct {
	lab *Lab
	n   int
}

func (n node) name() string { return NodeName(n.n) }

func (n node) in(parts ...string) string {
	return n.lab.paths.in(append([]string{n.name()}, parts...)...)
}

func (n node) component(name string, args ...string) Component {
	return Component{Name: n.name() + "/" + name, Host: n.name(), Args: args, Env: []string{sbinPath}}
}

func (n node) containerd() Component {
	return n.component(Containerd, "/usr/bin/containerd", "--config", n.in("containerd.toml"))
}

func (n node) kubelet() Component {
	return n.component(Kubelet, n.lab.binary("kubelet"),
		"--config="+n.in("kubelet.json"),
		"--kubeconfig="+n.in("kubeconfig"),
		"--hostname-override="+n.name(),
		"--node-ip="+NodeAddrs(n.n).String(),
		"--root-dir="+n.in("kubelet"),
		"--cert-dir="+n.in("kubelet", "pki"),
	)
}

func (n node) proxy() Component {
	return n.component(KubeProxy, n.lab.binary("kube-proxy"),
		"--config="+n.in("proxy.json"), "--hostname-override="+n.name())
}

// writeConfigs writes the configuration of all that runs on the node.
func (n node) writeConfigs() error {
	files := map[string]string{
		"containerd.toml": n.containerdConfig(),
		"resolv.conf":     "", // nobody answers names in the lab
		"kubelet.json":    toJSON(n.kubeletConfig()),
		"proxy.json":      toJSON(n.proxyConfig()),
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(n.in(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(n.in(name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return n.writeCNI()
}

// containerdConfig keeps the score of the machine's own processes, which it may lack the right to better.
func (n node) containerdConfig() string {
	return fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = %[3]q

[plugins."io.containerd.internal.v1.opt"]
path = %[4]q

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %[5]q
restrict_oom_score_adj = true
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %[6]q
conf_dir = %[7]q

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "runc"
SystemdCgroup = false
`, n.in("containerd"), n.in("containerd-state"), n.lab.paths.containerd(n.name()), n.in("opt"), PauseImage, n.in("cni-bin"), n.in("cni"))
}

type object = map[string]any

// kubeletConfig leaves resources alone: all nodes share the machine's.
func (n node) kubeletConfig() object {
	return object{
		"apiVersion":                  "kubelet.config.k8s.io/v1beta1",
		"kind":                        "KubeletConfiguration",
		"authentication":              object{"x509": object{"clientCAFile": n.lab.paths.pki("ca.crt")}},
		"authorization":               object{"mode": "Webhook"},
		"containerRuntimeEndpoint":    "unix://" + n.lab.paths.containerd(n.name()),
		"cgroupDriver":                "cgroupfs",
		"cgroupRoot":                  n.lab.paths.cgroup(n.name()),
		"cgroupsPerQOS":               false,
		"enforceNodeAllocatable":      []string{},
		"failCgroupV1":                false,
		"failSwapOn":                  false,
		"evictionHard":                object{"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
		"imageGCHighThresholdPercent": 100,
		"nodeStatusUpdateFrequency":   "5s",
		"nodeStatusReportFrequency":   "5m", // what has not changed: as by default
		"makeIPTablesUtilChains":      false,
		"maxPods":                     250,
		"podLogsDir":                  n.in("pod-logs"),
		"resolvConf":                  n.in("resolv.conf"),
		"clusterDomain":               "cluster.local",
		"clusterDNS":                  []string{clusterDNS.String()},
		"volumePluginDir":             n.in("volume-plugins"),
	}
}

// proxyConfig leaves connection tracking alone: its size is the machine's.
func (n node) proxyConfig() object {
	return object{
		"apiVersion":       "kubeproxy.config.k8s.io/v1alpha1",
		"kind":             "KubeProxyConfiguration",
		"clientConnection": object{"kubeconfig": n.lab.paths.in("proxy.kubeconfig")},
		"clusterCIDR":      PodsV4.String() + "," + PodsV6.String(),
		"mode":             string(n.lab.options.ProxyMode),
		"conntrack":        object{"maxPerCore": 0, "min": 0},
	}
}

func toJSON(v any) string {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // only strings, numbers and booleans go in
	}
	return string(data) + "\n"
}
