//go:build linux

package lab

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testLab() *Lab {
	return &Lab{options: Options{Name: "test", Nodes: 2, ProxyMode: IPTables}, paths: paths{"test"}, state: state{Binaries: "/bin"}}
}

func TestCNIConfig(t *testing.T) {
	var got any
	if err := json.Unmarshal([]byte(toJSON(node{testLab(), 2}.cniConfig())), &got); err != nil {
		t.Fatal(err)
	}
	var want any
	text := `{
		"cniVersion": "1.0.0", "name": "lab",
		"plugins": [{"type": "lab-no-dad"}, {"type": "ptp", "ipMasq": false, "ipam": {
			"type": "host-local", "dataDir": "/var/lib/fairlead-lab/test/node-2/cni-data",
			"ranges": [[{"subnet": "10.244.2.0/24"}], [{"subnet": "fd44:0:0:2::/64"}]],
			"routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}]}`
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CNI configuration of node 2 (-want +got):\n%s", diff)
	}
}

// TestNodesShareNoFiles checks that no file of one node appears in the configuration of another.
func TestNodesShareNoFiles(t *testing.T) {
	second := node{testLab(), 2}
	all := second.containerdConfig() + toJSON(second.cniConfig()) + toJSON(second.kubeletConfig()) + toJSON(second.proxyConfig())
	for _, c := range []Component{second.containerd(), second.kubelet(), second.proxy()} {
		all += strings.Join(c.Args, "\n")
	}
	if strings.Contains(all, "node-1") {
		t.Errorf("node 2 mentions node 1:\n%s", all)
	}
}

func TestKubeconfigUsers(t *testing.T) {
	got := map[string][]string{}
	for _, user := range testLab().kubeconfigUsers() {
		got[user.user] = user.groups
	}
	want := map[string][]string{
		"admin":                          {masters},
		"system:kube-controller-manager": {masters},
		"system:kube-scheduler":          nil,
		"system:kube-proxy":              nil,
		"system:node:node-1":             {"system:nodes"},
		"system:node:node-2":             {"system:nodes"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}
