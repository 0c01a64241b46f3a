package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// metalLBConfig is MetalLB's configuration: a pool by layer 2, and one by BGP to both routers.
const metalLBConfig = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: segment, namespace: metallb-system}
spec: {addresses: [172.30.0.100-172.30.0.103]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: routed, namespace: metallb-system}
spec: {addresses: [198.51.100.0/28], autoAssign: false, avoidBuggyIPs: true}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: segment, namespace: metallb-system}
spec: {ipAddressPools: [segment], nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node-1}}, {matchLabels: {kubernetes.io/hostname: node-2}}]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: routed, namespace: metallb-system}
spec: {ipAddressPools: [routed]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: router-a, namespace: metallb-system}
spec: {myASN: %[1]d, peerASN: %[2]d, peerAddress: %[3]s}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: router-b, namespace: metallb-system}
spec: {myASN: %[1]d, peerASN: %[2]d, peerAddress: %[4]s}
`

// metalLB builds MetalLB from its module, gives its images to all nodes, and installs it by its own manifests.
func (s *story) metalLB() {
	s.Helper()
	dir := s.TempDir()
	const module = "go.universe.tf/metallb"
	var images string
	for name, user := range map[string]string{"controller": "65534:65534", "speaker": "0:0"} {
		s.buildImage("fairlead.io/lab/metallb-"+name+":latest", "metallb", name, module+"/"+name, user)
		images += fmt.Sprintf("- {name: quay.io/metallb/%[1]s, newName: fairlead.io/lab/metallb-%[1]s, newTag: latest}\n", name)
	}
	list := exec.CommandContext(s.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module) // to build it has put it there
	list.Dir = "metallb"
	list.Env = append(os.Environ(), "GOFLAGS=")
	sources, err := list.Output()
	s.must(err)
	s.must(os.CopyFS(filepath.Join(dir, "config"), os.DirFS(filepath.Join(strings.TrimSpace(string(sources)), "config"))))
	// Its AS numbers are of format int32 and up to 4294967295, which API servers from Kubernetes 1.36 on refuse.
	peers := filepath.Join(dir, "config", "crd", "bases", "metallb.io_bgppeers.yaml")
	definition, err := os.ReadFile(peers)
	s.must(err)
	s.must(os.WriteFile(peers, []byte(strings.ReplaceAll(string(definition), "format: int32", "format: int64")), 0o600))
	s.must(os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(`resources: [config/native]
images:
`+images+`patches:
- target: {kind: Deployment|DaemonSet}
  patch: '[{"op": "add", "path": "/spec/template/spec/containers/0/imagePullPolicy", "value": "IfNotPresent"}]'
`), 0o600))
	s.globally("apply", "-k", dir)
	for _, w := range []string{"deployment/controller", "daemonset/speaker"} {
		s.globally("-n", "metallb-system", "rollout", "status", w, "--timeout=120s")
	}
}

// TestMigrateMetalLB: MetalLB serves, by layer 2 and by BGP, and Fairlead takes over without a page or connection lost: the same node goes on
// with the same MAC address. And back.
func TestMigrateMetalLB(t *testing.T) {
	if skipped != "" {
		t.Skip(skipped)
	}
	on, err := start(t.Context(), lab.Options{Name: "e2e-metallb", Nodes: 3, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			on.dump(t.Output())
		}
		if err := on.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s := tell(t, on)
	s.must(s.StartRouters(t.Context(), lab.Routing{}))
	t.Cleanup(func() { s.check(s.StopRouters()) })
	s.metalLB()
	s.within(30*second, "MetalLB takes its configuration", func() error {
		config := fmt.Sprintf(metalLBConfig, lab.NodesASN, lab.RoutersASN, lab.Router1Addrs.V4, lab.Router2Addrs.V4)
		out, err := s.Kubectl(t.Context(), strings.NewReader(s.own(config)), "apply", "-f", "-")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	s.apply(web(2, "nodeSelector: {kubernetes.io/hostname: node-3}") + service("web", "metallb.io/loadBalancerIPs: 172.30.0.101", "") +
		service("routed", "metallb.io/address-pool: routed, metallb.io/loadBalancerIPs: "+routed4, ""))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	near := s.own("172.30.0.101")
	s.within(30*second, "page by MetalLB, layer 2", s.page("172.30.0.101"))
	s.within(60*second, "page by MetalLB, BGP", s.far(routed4))
	s.within(60*second, "routes by MetalLB", s.forwards(routed4+"/32", s.Nodes()...))
	holder := func() string {
		macs, err := measure.Holders(s.Context(), s.Host(lab.Client), netip.MustParseAddr(near), patience)
		if s.must(err); len(macs) != 1 {
			return fmt.Sprint(macs)
		}
		return fmt.Sprint(macs[0])
	}
	before := holder()

	p := plugin{s, s.Kubeconfig()}
	if status, out, errs := p.run("migrate", "metallb", "--rehearse"); status != 0 {
		t.Fatalf("the rehearsal ends with %d: %s%s", status, out, errs)
	}
	pages, routed := s.probe("172.30.0.101", 20*ms), s.fetching(20*ms, s.far(routed4))
	h := s.hold(lab.Client, near, 50)
	status, out, errs := p.run("migrate", "metallb", "--apply")
	t.Logf("\n%s%s", out, errs)
	if status != 0 {
		t.Fatalf("it ends with %d", status)
	}
	s.within(20*second, "all sessions", s.peersSay("3/3 established"))
	s.within(20*second, "all routes", s.forwards(routed4+"/32", s.Nodes()...))
	if lost := h.Stop(); len(lost) > 0 {
		t.Errorf("%d of 50 connections lost, first: %v", len(lost), lost[0])
	}
	if all := pages.stop(); len(all.Failed()) > 0 {
		t.Errorf("%d of %d pages by layer 2 failed, first: %v", len(all.Failed()), len(all), all.Failed()[0].Err)
	}
	// A router that has other next hops than before sends what is under way to another node, which resets it.
	all := routed.stop()
	if failed := slices.DeleteFunc(slices.Clone(all.Failed()), measure.Attempt.Cut); len(failed) > 0 {
		t.Errorf("%d of %d pages by BGP failed, first: %v", len(failed), len(all), failed[0].Err)
	}
	if after := holder(); after != before {
		t.Errorf("%s was at %s, and is at %s", near, before, after)
	}
	if node := s.announcer("web"); s.nodeOf(before) != node {
		t.Errorf("%s announces, which is not %s", node, before)
	}
	s.within(5*second, "the same address", s.shows("web", "172.30.0.101"))
	if left := s.globally("-n", "metallb-system", "get", "pods", "-l", "component=speaker", "-o", "name"); left != "" {
		t.Errorf("of MetalLB's speakers there are %s", left)
	}
	s.assignsAfter()

	status, out, errs = p.run("migrate", "metallb", "--back")
	t.Logf("\n%s%s", out, errs)
	if status != 0 {
		t.Fatalf("the way back ends with %d", status)
	}
	s.within(60*second, "page by MetalLB, layer 2", s.page("172.30.0.101"))
	s.within(60*second, "page by MetalLB, BGP", s.far(routed4))
	s.within(5*second, "the same address", s.shows("web", "172.30.0.101"))
	if out := s.globally("get", "ipaddresspools.fairlead.io,l2advertisements.fairlead.io", "-o", "name"); out != "" {
		t.Errorf("Fairlead still has %s", out)
	}
}
