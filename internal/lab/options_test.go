//go:build linux

package lab

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestComplete(t *testing.T) {
	tests := map[string]struct {
		reason  string
		options Options
		want    Options
		wantErr bool
	}{
		"Empty": {"nothing need be given", Options{},
			Options{Name: DefaultName, Nodes: 3, ProxyMode: NFTables, Kubernetes: Newest}, false},
		"Given": {"what is given stays", Options{Name: "other-1", Nodes: 1, ProxyMode: IPTables, Kubernetes: Oldest, Detached: true},
			Options{Name: "other-1", Nodes: 1, ProxyMode: IPTables, Kubernetes: Oldest, Detached: true}, false},
		"Path":     {"a name is one folder", Options{Name: "../etc"}, Options{}, true},
		"LongName": {"a name is part of socket paths", Options{Name: strings.Repeat("x", 33)}, Options{}, true},
		"TooMany":  {"more nodes would take the external addresses", Options{Nodes: MaxNodes + 1}, Options{}, true},
		"Minor":    {"a version is no minor", Options{Kubernetes: "v1.31.14"}, Options{}, true},
		"Mode":     {"kube-proxy would not start", Options{ProxyMode: "ipvs"}, Options{}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tc.options.complete()
			if (err != nil) != tc.wantErr {
				t.Fatalf("%s: error %v", tc.reason, err)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(Options{}, "Log")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestSocketPaths checks what the syntax of names is for: the kernel takes 107 bytes.
func TestSocketPaths(t *testing.T) {
	p := paths{strings.Repeat("x", 32)}
	if path := p.containerd(NodeName(MaxNodes)); len(path) > 107 {
		t.Errorf("%s has %d bytes", path, len(path))
	}
}

func TestPickLinkPair(t *testing.T) {
	addr := netip.MustParseAddr
	tests := map[string]struct {
		reason string
		hash   uint32
		used   []netip.Addr
		want   linkPair
	}{
		"First": {"the hash is the place to start", 0, nil, linkPair{addr("169.254.200.1"), addr("169.254.200.2")}},
		"Used": {"a network that the machine has is passed over", 0, []netip.Addr{addr("169.254.200.2")},
			linkPair{addr("169.254.200.5"), addr("169.254.200.6")}},
		"Last":  {"the places go up to 256", 255, nil, linkPair{addr("169.254.203.253"), addr("169.254.203.254")}},
		"Round": {"and begin again", 256, nil, linkPair{addr("169.254.200.1"), addr("169.254.200.2")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := pickLinkPair(tc.hash, func(a netip.Addr) bool { return contains(tc.used, a) })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
	if _, err := pickLinkPair(0, func(netip.Addr) bool { return true }); err == nil {
		t.Error("no error although all addresses are used")
	}
}

func contains(all []netip.Addr, a netip.Addr) bool {
	return slices.Contains(all, a)
}

func TestRecipes(t *testing.T) {
	want := "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3" +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	if diff := cmp.Diff(want, recipes("kubernetes", "v1.36.3")[1].ldflags); diff != "" {
		t.Errorf("the API server needs its version (-want +got):\n%s", diff)
	}
}

func TestPortNames(t *testing.T) {
	port, err := portName("far-client", "eth0")
	if err != nil {
		t.Fatal(err)
	}
	if host, name, ok := cutPort(port); host != "far-client" || name != "eth0" || !ok {
		t.Errorf("%s is taken for %s of %s", port, name, host)
	}
	if port, err := portName("far-client", "eth-extra"); err == nil {
		t.Errorf("%s is too long for an interface", port)
	}
}

// TestProcess checks that a process is not mistaken for another one with its number.
func TestProcess(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	other := process{self.PID, "1"}
	if !self.alive() || other.alive() {
		t.Errorf("own process alive: %t, with another start: %t", self.alive(), other.alive())
	}
	if err := other.kill(t.Context()); err != nil {
		t.Errorf("kill what is gone: %v", err)
	}
}

func TestSuspect(t *testing.T) {
	tests := map[string]struct {
		reason string
		err    error
		want   string
	}{
		"Exit":    {"what ended tells why", &exitError{Etcd, "exit status 1"}, Etcd},
		"Node":    {"a node's kubelet reports", errors.Join(&nodeError{"node-2", "not yet"}), "node-2/kubelet"},
		"Other":   {"all else goes through the API server", errors.New("refused"), APIServer},
		"Nothing": {"there is nothing to explain", nil, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, suspect(tc.err)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
