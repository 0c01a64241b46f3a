package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// metalLBConfig is MetalLB's configuration: three pools by layer 2, and two by BGP to both routers.
const metalLBConfig = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: segment, namespace: metallb-system}
spec: {addresses: [172.30.0.100-172.30.0.103]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: second, namespace: metallb-system}
spec: {addresses: [172.30.0.60-172.30.0.69], autoAssign: false}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: six, namespace: metallb-system}
spec: {addresses: ["fd30::200:0/124"], autoAssign: false}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: routed, namespace: metallb-system}
spec: {addresses: [198.51.100.0/28], autoAssign: false, avoidBuggyIPs: true}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: routed-second, namespace: metallb-system}
spec: {addresses: [203.0.113.16/28], autoAssign: false}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: segment, namespace: metallb-system}
spec: {ipAddressPools: [segment, second, six], nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node-1}}, {matchLabels: {kubernetes.io/hostname: node-2}}]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: routed, namespace: metallb-system}
spec: {ipAddressPools: [routed, routed-second]}
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

// assignments are the addresses of the story's Services, by name.
func (s *story) assignments() map[string]string {
	s.Helper()
	var all corev1.ServiceList
	s.must(s.api.List(s.Context(), &all, client.InNamespace(s.ns)))
	out := map[string]string{}
	for i := range all.Items {
		for _, in := range all.Items[i].Status.LoadBalancer.Ingress {
			out[all.Items[i].Name] = in.IP
		}
	}
	return out
}

// same fails unless the story's Services have the addresses that they had.
func (s *story) same(before map[string]string) {
	s.Helper()
	if diff := cmp.Diff(before, s.assignments()); diff != "" {
		s.Errorf("addresses (-before +after):\n%s", diff)
	}
}

// holders are the MAC addresses that answer for IPv4 addresses on the segment.
func (s *story) holders(of map[string]string) map[string]string {
	s.Helper()
	var asked []netip.Addr
	for _, text := range of {
		if a := netip.MustParseAddr(text); lab.NodesV4.Contains(a) {
			asked = append(asked, a)
		}
	}
	answers, err := measure.All(s.Context(), s.Host(lab.Client), 5*second, asked...)
	s.must(err)
	out := map[string]string{}
	for a, by := range answers {
		out[a.String()] = by.MAC
	}
	return out
}

// TestMigrateMetalLB: MetalLB serves 30 Services of five pools, by layer 2 and by BGP, and Fairlead takes over without a page or connection lost: the same node goes on
// with the same MAC address. And back.
func TestMigrateMetalLB(t *testing.T) {
	on := another(t, lab.Options{Name: "e2e-metallb", Nodes: 3})
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
	objects := web(2, "nodeSelector: {kubernetes.io/hostname: node-3}") + service("web", "metallb.io/loadBalancerIPs: 172.30.0.101", "") +
		service("routed", "metallb.io/address-pool: routed, metallb.io/loadBalancerIPs: "+routed4, "")
	for _, m := range []struct {
		pool, spec string
		n          int
	}{{"second", "", 10}, {"six", "ipFamilies: [IPv6]", 4}, {"routed-second", "", 14}} {
		for i := range m.n {
			objects += service(fmt.Sprintf("%s-%d", m.pool, i), "metallb.io/address-pool: "+m.pool, m.spec)
		}
	}
	s.apply(objects)
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	near := s.own("172.30.0.101")
	s.within(30*second, "page by MetalLB, layer 2", s.page("172.30.0.101"))
	s.within(60*second, "page by MetalLB, BGP", s.far(routed4))
	s.within(60*second, "routes by MetalLB", s.forwards(routed4+"/32", s.Nodes()...))
	var before map[string]string
	s.within(30*second, "addresses by MetalLB", func() error {
		if before = s.assignments(); len(before) != 30 {
			return fmt.Errorf("%d Services have addresses: %v", len(before), before)
		}
		return nil
	})
	macs := s.holders(before)

	p := plugin{s, s.Kubeconfig()}
	if status, out, errs := p.run("migrate", "metallb", "--rehearse"); status != 0 {
		t.Fatalf("the rehearsal ends with %d: %s%s", status, out, errs)
	}
	pages, routed := s.probe("172.30.0.101", 20*ms), s.fetching(20*ms, s.far(routed4))
	every := map[string]*probe{} // of the others
	for name, address := range before {
		switch page := s.far(address); {
		case name == "web" || name == "routed":
		case strings.HasPrefix(name, "routed"):
			s.within(60*second, name, page)
			every[name] = s.fetching(250*ms, page)
		default:
			s.within(60*second, name, s.page(address))
			every[name] = s.fetching(250*ms, s.page(address))
		}
	}
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
	s.without(pages.stop())
	s.without(rerouted(routed.stop()))
	for name, p := range every {
		all := p.stop()
		if strings.HasPrefix(name, "routed") {
			all = rerouted(all)
		}
		if failed := all.Failed(); len(failed) > 0 {
			s.Errorf("%d pages of %s failed, first: %v", len(failed), name, failed[0].Err)
		}
	}
	if diff := cmp.Diff(macs, s.holders(before)); diff != "" {
		t.Errorf("who answers (-before +after):\n%s", diff)
	}
	if node := s.announcer("web"); s.nodeOf(macs[near]) != node {
		t.Errorf("%s announces, which is not %s", node, macs[near])
	}
	s.same(before)
	if left := s.globally("-n", "metallb-system", "get", "pods", "-l", "component=speaker", "-o", "name"); left != "" {
		t.Errorf("of MetalLB's speakers there are %s", left)
	}
	s.assignsAfter()

	pages, routed = s.probe("172.30.0.101", 20*ms), s.fetching(20*ms, s.far(routed4))
	status, out, errs = p.run("migrate", "metallb", "--back")
	t.Logf("\n%s%s", out, errs)
	if status != 0 {
		t.Fatalf("the way back ends with %d", status)
	}
	s.without(rerouted(pages.stop())) // MetalLB chooses the node by itself
	s.without(rerouted(routed.stop()))
	s.within(60*second, "page by MetalLB, layer 2", s.page("172.30.0.101"))
	s.within(60*second, "page by MetalLB, BGP", s.far(routed4))
	s.same(before)
	if out := s.globally("get", "ipaddresspools.fairlead.io,l2advertisements.fairlead.io", "-o", "name"); out != "" {
		t.Errorf("Fairlead still has %s", out)
	}
}
