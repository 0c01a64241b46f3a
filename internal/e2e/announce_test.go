package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

const ms = time.Millisecond

// served starts a story with a Service whose page comes, and returns who announces it.
func served(t *testing.T, on *cluster, replicas int, ad, spec string) (s *story, node string) {
	t.Helper()
	s = tell(t, on)
	s.apply(pool("main", "172.30.0.100-172.30.0.108") + advertised(ad) + web(replicas) + service("web", "", spec))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.within(5*second, "address", s.shows("web", "172.30.0.100"))
	node = s.announcer("web")
	s.served("172.30.0.100")
	return s, node
}

// moved waits until another node than the given one announces, and returns which.
func (s *story) moved(from string) (to string) {
	s.Helper()
	s.within(15*second, "moved from "+from, func() error {
		if to = s.announcer("web"); to == from {
			return fmt.Errorf("still announced by %s", from)
		}
		return nil
	})
	return to
}

// The announcing node's speaker is stopped: another takes over before it is gone.
func TestSpeakerStopped(t *testing.T) {
	s, node := served(t, shared, 3, "", "")
	p := s.probe("172.30.0.100", 20*ms)
	s.kubectl("-n", lab.Namespace, "delete", "pod", "--field-selector", "spec.nodeName="+node, "-l", "app.kubernetes.io/component=speaker")
	time.Sleep(2 * second)
	s.without(p.stop())
	s.must(s.RolledOut(t.Context(), "daemonset/speaker"))
	s.served("172.30.0.100")
	if got := s.answerers("172.30.0.100"); len(got) != 1 {
		t.Errorf("%v answer ARP, want one node", got)
	}
}

// Both families answer, and both are handed over without a lost page.
func TestBothFamilies(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("main", `172.30.0.100-172.30.0.108, "fd30::100:0/112"`) + advertised("") + web(3) + service("web", "", "ipFamilyPolicy: RequireDualStack"))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.announcer("web")
	svc := s.service("web")
	four, six := svc.Status.LoadBalancer.Ingress[0].IP, svc.Status.LoadBalancer.Ingress[1].IP
	var probes []*probe
	for _, address := range []string{four, six} {
		s.served(address)
		probes = append(probes, s.probe(address, 20*ms))
	}
	s.kubectl("-n", lab.Namespace, "rollout", "restart", "daemonset/speaker")
	s.must(s.RolledOut(t.Context(), "daemonset/speaker"))
	time.Sleep(2 * second)
	for _, p := range probes {
		s.without(p.stop())
	}
	out, err := s.Host(lab.Client).Command(t.Context(), "ip", "-6", "neigh", "show", six).Output()
	if s.must(err); !strings.Contains(string(out), "lladdr") {
		t.Errorf("no neighbour for %s: %s", six, out)
	}
}

// The announcing node is labelled: it hands over at once.
func TestExcludeLabel(t *testing.T) {
	s, node := served(t, shared, 3, "", "")
	p := s.probe("172.30.0.100", 20*ms)
	s.kubectl("label", "node", node, "node.kubernetes.io/exclude-from-external-load-balancers=")
	t.Cleanup(func() {
		_, _ = s.Kubectl(context.Background(), nil, "label", "node", node, "node.kubernetes.io/exclude-from-external-load-balancers-")
	})
	to := s.moved(node)
	if got := s.answerers("172.30.0.100"); len(got) != 1 || got[0] != to {
		t.Errorf("%v answer ARP, want %s alone", got, to)
	}
	s.handedOver(p.stop())
	for _, n := range s.Nodes() {
		s.kubectl("label", "--overwrite", "node", n, "node.kubernetes.io/exclude-from-external-load-balancers=")
	}
	s.within(5*second, "nobody is left", s.says("web", v1beta1.ServiceConditionAnnounced, "NoNode",
		"172.30.0.100 by nobody: no node can announce: 3 labelled node.kubernetes.io/exclude-from-external-load-balancers"))
	s.tells("web", "announceFailed")
	for _, n := range s.Nodes() {
		s.kubectl("label", "node", n, "node.kubernetes.io/exclude-from-external-load-balancers-")
	}
	s.announcer("web")
	s.served("172.30.0.100")
}

// externalTrafficPolicy Local: the address follows the pods.
func TestLocalFollowsPods(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("main", "172.30.0.100-172.30.0.108") + advertised("") + web(1, "nodeSelector: {kubernetes.io/hostname: node-2}") +
		service("web", "", "externalTrafficPolicy: Local"))
	s.within(10*second, "announced where the pod is", func() error {
		if got := s.announcer("web"); got != "node-2" {
			return fmt.Errorf("announced by %s", got)
		}
		return nil
	})
	s.served("172.30.0.100")
	page, err := s.Host(lab.Client).Get(t.Context(), netip.MustParseAddr(s.own("172.30.0.100")), 80, second)
	if s.must(err); !strings.Contains(page, "client="+lab.ClientAddrs.V4.String()) {
		t.Errorf("%s: the pod does not see the client's own address", page)
	}

	s.apply(web(1, "nodeSelector: {kubernetes.io/hostname: node-3}"))
	s.within(30*second, "announced where the pod went", func() error {
		if got := s.announcer("web"); got != "node-3" {
			return fmt.Errorf("announced by %s", got)
		}
		return nil
	})
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.served("172.30.0.100")

	s.kubectl("scale", "deployment/web", "--replicas=0")
	s.within(20*second, "no pod", s.says("web", v1beta1.ServiceConditionAnnounced, "NoEndpoints", "172.30.0.100 by nobody: the Service has no ready endpoint"))
	s.tells("web", "Withdrawn")
	if got := s.answerers("172.30.0.100"); len(got) != 0 {
		t.Errorf("%v answer ARP for an address that leads nowhere", got)
	}
}

// Controller and speakers are restarted in the middle: no address moves to another Service.
func TestRestarts(t *testing.T) {
	s, _ := served(t, shared, 3, "", "")
	for i := range 5 {
		s.apply(service(fmt.Sprintf("extra-%d", i), "", ""))
	}
	s.within(5*second, "addresses", func() error {
		if n := len(s.addresses()); n != 6 {
			return fmt.Errorf("%d addresses", n)
		}
		return nil
	})
	before := s.addresses()
	p := s.probe("172.30.0.100", 20*ms)
	s.kubectl("-n", lab.Namespace, "rollout", "restart", "deployment/controller", "daemonset/speaker")
	s.apply(service("newcomer", "", "")) // while nobody may be leading
	s.must(s.RolledOut(t.Context(), "deployment/controller", "daemonset/speaker"))
	s.within(20*second, "the newcomer is served", func() error {
		if len(s.service("newcomer").Status.LoadBalancer.Ingress) == 0 {
			return errors.New("no address")
		}
		return nil
	})
	s.without(p.stop())
	after := s.addresses()
	for name, address := range before {
		if after[name] != address {
			t.Errorf("%s had %s, and now has %s", name, address, after[name])
		}
	}
	s.served("172.30.0.100")

	// The hard way: every controller and speaker process is killed.
	s.killFairlead()
	s.must(s.RolledOut(t.Context(), "deployment/controller", "daemonset/speaker"))
	s.announcer("web")
	s.served("172.30.0.100")
	s.apply(service("another", "", ""))
	s.within(40*second, "another newcomer is served", func() error {
		if len(s.service("another").Status.LoadBalancer.Ingress) == 0 {
			return errors.New("no address")
		}
		return nil
	})
	for name, address := range s.addresses() {
		if was, ok := after[name]; ok && was != address {
			t.Errorf("%s had %s, and now has %s", name, was, address)
		}
	}
}

// addresses returns the first address of each Service of the story that has one. It
// fails if two have the same.
func (s *story) addresses() map[string]string {
	s.Helper()
	out, holder := map[string]string{}, map[string]string{}
	for line := range strings.Lines(s.kubectl("get", "services", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.loadBalancer.ingress[0].ip}{"\n"}{end}`)) {
		name, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		if address == "" {
			continue
		}
		if holder[address] != "" {
			s.Errorf("%s and %s both have %s", holder[address], name, address)
		}
		out[name], holder[address] = address, name
	}
	return out
}

// The API server is down for 30 s while the client keeps fetching pages without one failure.
func TestAPIServerDown(t *testing.T) {
	s, node := served(t, shared, 3, "", "")
	p := s.probe("172.30.0.100", 50*ms)
	s.must(s.Stop(lab.APIServer))
	t.Cleanup(func() { _ = s.Start(lab.APIServer) })
	down := time.Now()
	time.Sleep(10 * second)
	s.ask(node) // neighbours who forgot are answered
	time.Sleep(30*second - time.Since(down))
	s.must(s.Start(lab.APIServer))
	s.apiServerAnswers()
	time.Sleep(5 * second) // who was cut off comes back now
	s.without(p.stop())
	s.stays(second, "address", s.shows("web", "172.30.0.100"))

	// The kube-proxies took the API server's own Service for dead and may look away for a minute, so that no pod
	// reaches it: that is Kubernetes's part. Ours is the replica that stood by. If the leader renewed its Lease once more
	// than this one has seen, that has 15 s to run from now, and it looks every 2 to 4 s.
	s.must(s.Wake(t.Context()))
	s.apply(service("after", "", ""))
	s.within(30*second, "work goes on", func() error {
		if len(s.service("after").Status.LoadBalancer.Ingress) == 0 {
			return errors.New("no address")
		}
		return nil
	})
	s.must(s.RolledOut(t.Context(), "deployment/controller", "daemonset/speaker"))
}

// ask makes the client forget the address, and checks that the node still answers for it.
func (s *story) ask(node string) {
	s.Helper()
	if got := s.answerers("172.30.0.100"); len(got) != 1 || got[0] != node {
		s.Errorf("%v answer ARP, want %s alone", got, node)
	}
}

// The cable of the announcing node is pulled: when Kubernetes has noticed, the page comes again.
func TestCablePulled(t *testing.T) {
	s, node := served(t, shared, 3, "", "")
	s.must(s.PullCable(node))
	t.Cleanup(func() { _ = s.ReplugCable(node) })
	s.within(90*second, "taken over", func() error {
		if got := s.announcer("web"); got == node {
			return fmt.Errorf("still announced by %s", got)
		}
		return nil
	})
	s.served("172.30.0.100")
	s.must(s.ReplugCable(node))
	s.within(60*second, "node is back", func() error {
		out := s.kubectl("get", "node", node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if out != "True" {
			return fmt.Errorf("ready: %s", out)
		}
		return nil
	})
	s.must(s.RolledOut(t.Context(), "daemonset/speaker"))
	s.within(10*second, "one answers", func() error {
		if got := s.answerers("172.30.0.100"); len(got) != 1 {
			return fmt.Errorf("%v answer ARP", got)
		}
		return nil
	})
	s.served("172.30.0.100")
}

// Interfaces: one that appears later is announced on; a node without it does not stand.
func TestInterfaces(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("main", "172.30.0.100-172.30.0.108") + advertised(`interfaces: ["lan*"]`) + web(2) + service("web", "", ""))
	s.within(10*second, "no node has it", s.says("web", v1beta1.ServiceConditionAnnounced, "NoNode", "3 without a suitable network interface"))

	s.must(s.AddInterface("node-2", "lan0", lab.NodesSegment, netip.MustParsePrefix("192.168.77.2/24")))
	t.Cleanup(func() { _ = s.RemoveInterface("node-2", "lan0") })
	s.within(10*second, "one node has it", s.says("web", v1beta1.ServiceConditionAnnounced, "Announced", "172.30.0.100 by node node-2 on lan0 (layer 2)"))
	s.served("172.30.0.100")

	s.must(s.AddInterface("node-3", "lan7", lab.NodesSegment, netip.MustParsePrefix("192.168.77.3/24")))
	t.Cleanup(func() { _ = s.RemoveInterface("node-3", "lan7") })
	s.must(s.RemoveInterface("node-2", "lan0"))
	s.within(10*second, "it moves", s.says("web", v1beta1.ServiceConditionAnnounced, "Announced", "172.30.0.100 by node node-3 on lan7 (layer 2)"))
	s.served("172.30.0.100")
}

// Node selectors and preferences.
func TestNodeSelection(t *testing.T) {
	s, _ := served(t, shared, 3, `nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node-2}}]`, "")
	if got := s.announcer("web"); got != "node-2" {
		t.Errorf("announced by %s, want node-2", got)
	}
	p := s.probe("172.30.0.100", 20*ms)
	s.apply(advertised(`preferredNodeSelectors: [{weight: 10, preference: {matchLabels: {kubernetes.io/hostname: node-3}}}]`))
	s.within(5*second, "preferred", func() error {
		if got := s.announcer("web"); got != "node-3" {
			return fmt.Errorf("announced by %s", got)
		}
		return nil
	})
	s.handedOver(p.stop())
	s.kubectl("delete", "l2advertisement", "all")
	s.within(5*second, "the frequent mistake", s.says("web", v1beta1.ServiceConditionAnnounced, "NoAdvertisement", "no L2Advertisement or BGPAdvertisement is for pool main and this Service"))
}

// killFairlead kills every process of Fairlead without warning.
func (s *story) killFairlead() {
	s.Helper()
	for line := range strings.Lines(s.kubectl("-n", lab.Namespace, "get", "pods", "-o",
		`jsonpath={range .items[*]}{.spec.nodeName} {.status.containerStatuses[0].containerID}{"\n"}{end}`)) {
		node, id, _ := strings.Cut(strings.TrimSpace(line), " containerd://")
		socket := filepath.Join(s.Dir(), node, "containerd.sock")
		out, err := exec.CommandContext(s.Context(), "ctr", "--address", socket, "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id).CombinedOutput()
		if err != nil {
			s.Fatalf("kill %s: %v\n%s", line, err, out)
		}
	}
	time.Sleep(second) // for the kubelets to notice
}
