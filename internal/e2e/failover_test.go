package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// pulled is the loss of a node, as sudden as can be.
func pulled(s *story, node string) (undo func()) {
	s.must(s.PullCable(node))
	return func() { s.check(s.ReplugCable(node)) }
}

func TestFailover(t *testing.T) {
	s := dual(t, shared, either)
	s.undergo(
		disruption{name: "Cable", reason: "a dead node costs under a second", limit: sudden, do: pulled},
		disruption{name: "CableOfIPv6", reason: "in both families", limit: sudden, six: true, do: pulled},
		disruption{name: "CableWithoutController", reason: "the controller has no part in it", limit: sudden, do: func(s *story, node string) func() {
			s.kubectl("-n", lab.Namespace, "scale", "deployment/controller", "--replicas=0")
			s.kubectl("-n", lab.Namespace, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=controller", "--timeout=60s")
			replug := pulled(s, node)
			return func() {
				replug()
				s.cleanly("-n", lab.Namespace, "scale", "deployment/controller", "--replicas=2")
			}
		}},
		disruption{name: "CableWithoutAPIServer", reason: "nor has the API server", limit: sudden, do: func(s *story, node string) func() {
			s.Cleanup(func() { s.check(s.Wake(context.Background())) })
			s.must(s.Stop(lab.APIServer))
			time.Sleep(2 * second)
			replug := pulled(s, node)
			return func() {
				replug()
				s.check(s.Start(lab.APIServer))
				s.apiServerAnswers()
			}
		}},
		disruption{name: "Drained", reason: "pods leave a node that is drained, addresses need not", stays: true, do: func(s *story, node string) func() {
			s.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
			return func() { s.cleanly("uncordon", node) }
		}},
		disruption{name: "OutOfService", reason: "a node that is declared lost hands over", limit: moving, do: func(s *story, node string) func() {
			const taint = "node.kubernetes.io/out-of-service"
			s.kubectl("taint", "node", node, taint+"=nodeshutdown:NoExecute")
			s.leaves(15*second, node)
			return func() { s.cleanly("taint", "node", node, taint+"-") }
		}},
		disruption{name: "NotReady", reason: "a node whose kubelet is silent hands over when Kubernetes says so", limit: moving, do: func(s *story, node string) func() {
			s.must(s.Stop(node + "/" + lab.Kubelet))
			s.leaves(90*second, node)
			return func() { s.check(s.Start(node + "/" + lab.Kubelet)) }
		}},
	)
	t.Run("Partition", func(t *testing.T) { partition(s.in(t)) })
	t.Run("Deaf", func(t *testing.T) { deaf(s.in(t)) })
}

// leaves waits until a node announces nothing of the Service.
func (s *story) leaves(limit time.Duration, node string) {
	s.Helper()
	s.within(limit, "another node announces", func() error {
		for address, by := range s.announcers() {
			if by == node {
				return fmt.Errorf("%s still announces %s", node, address)
			}
		}
		return nil
	})
}

// cutGossip drops what the speaker of a node says to the others, and they to it, until restore is called.
func (s *story) cutGossip(node string) (restore func()) {
	s.Helper()
	var rules strings.Builder
	rules.WriteString("add table inet partition\n")
	for _, hook := range []string{"input", "output"} {
		fmt.Fprintf(&rules, "add chain inet partition %s { type filter hook %[1]s priority 0; }\n", hook)
		for _, protocol := range []string{"udp", "tcp"} {
			for _, port := range []string{"sport", "dport"} {
				fmt.Fprintf(&rules, "add rule inet partition %s %s %s %d drop\n", hook, protocol, port, measure.GossipPort)
			}
		}
	}
	s.nft(node, rules.String())
	s.Cleanup(func() { s.nft(node, "add table inet partition; delete table inet partition") })
	return func() { s.nft(node, "delete table inet partition") }
}

// nft changes the rules of a node. It may be called when the test has ended.
func (s *story) nft(node, commands string) {
	s.Helper()
	cmd := s.Host(node).Command(context.Background(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(commands + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("nft on %s: %v\n%s", node, err, out)
	}
}

// No speaker hears another for longer than one may be away, though all nodes go on. Nothing moves, neither then nor when they hear each
// other again, one after the other.
func deaf(s *story) {
	s.settled()
	before := s.announcers()
	var unblock []func()
	for _, node := range s.Nodes() {
		unblock = append(unblock, s.cutGossip(node))
	}
	same := func() error {
		if now := s.announcers(); !maps.Equal(before, now) {
			return fmt.Errorf("%v announce, %v did before", now, before)
		}
		return s.heldByOne()
	}
	s.stays(75*second, "nothing moves while no speaker hears another", same)
	for _, f := range unblock {
		f()
		s.stays(2*second, "nothing moves when they hear each other again", same)
	}
	s.stays(5*second, "nor afterwards", same)
	for _, a := range s.both() {
		s.served(a)
	}
}

// The announcer cannot hear the other speakers, nor they it: two may answer for a while. Afterwards one yields.
func partition(s *story) {
	s.settled()
	unblock := s.cutGossip(s.announcers()[s.both()[0]])
	time.Sleep(3 * second)
	unblock()
	s.within(sudden, "one node answers again", s.heldByOne)
	s.stays(second, "it is one", s.heldByOne)
	for _, a := range s.both() {
		s.served(a)
	}
}

// attach gives hosts an interface on a segment, for as long as the test lasts.
func attach(t *testing.T, name, segment string, net4 [3]byte, net6 string, hosts ...string) {
	t.Helper()
	for n, host := range hosts {
		err := shared.AddInterface(host, name, segment,
			netip.PrefixFrom(netip.AddrFrom4([4]byte{net4[0], net4[1], net4[2], byte(n + 1)}), 24),
			netip.MustParsePrefix(fmt.Sprintf("%s%d/64", net6, n+1)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = shared.RemoveInterface(host, name) })
	}
}

// link has a node set its links.
func (s *story) link(node string, commands ...string) {
	s.Helper()
	for _, c := range commands {
		if out, err := s.Host(node).Command(context.Background(), "ip", append([]string{"link", "set"}, strings.Fields(c)...)...).CombinedOutput(); err != nil {
			s.Errorf("ip link set %s on %s: %v: %s", c, node, err, out)
		}
	}
}

// An interface of the announcing node goes while the node stays.
func TestInterfaceLost(t *testing.T) {
	if skipped != "" {
		t.Skip(skipped)
	}
	attach(t, "lan0", lab.NodesSegment, [3]byte{192, 168, 77}, "fd77::", "node-1", "node-2")
	s := dual(t, shared, `interfaces: ["lan*"]`)
	s.undergo(
		disruption{name: "Down", reason: "it is set down", limit: sudden, do: func(s *story, node string) func() {
			s.link(node, "lan0 down")
			return func() { s.link(node, "lan0 up") }
		}},
		disruption{name: "Renamed", reason: "its name is not selected any more", limit: sudden, do: func(s *story, node string) func() {
			s.link(node, "lan0 down", "lan0 name other0", "other0 up")
			return func() { s.link(node, "other0 down", "other0 name lan0", "lan0 up") }
		}},
	)
}

// Addresses of another segment are announced on it, by the nodes that have an interface there, though no
// L2Advertisement names one. One of them loses it.
func TestOtherSegment(t *testing.T) {
	if skipped != "" {
		t.Skip(skipped)
	}
	attach(t, "lan1", "other", [3]byte{192, 168, 88}, "fd88::", "node-1", "node-2", lab.Client)
	s := tell(t, shared)
	s.apply(pool("main", `192.168.88.200, "fd88::200"`) + advertised("") + web(2, "nodeSelector: {kubernetes.io/hostname: node-3}") +
		service("web", "", "ipFamilyPolicy: RequireDualStack"))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	on := func(nodes ...string) func() error {
		return func() error {
			by, message := s.announcers(), s.service("web").Status.Conditions
			for _, node := range by {
				if !slices.Contains(nodes, node) {
					return fmt.Errorf("announced by %v", by)
				}
			}
			if text := fmt.Sprint(message); len(by) != 2 || strings.Count(text, " on lan1 ") != 2 {
				return fmt.Errorf("it says %s", text)
			}
			return nil
		}
	}
	s.within(10*second, "both are announced there", on("node-1", "node-2"))
	for _, a := range s.both() {
		s.served(a)
	}
	if got := s.answerers("192.168.88.200"); len(got) > 0 {
		t.Errorf("%v answer on the first segment", got)
	}

	loser := s.announcers()["192.168.88.200"]
	heir := map[string]string{"node-1": "node-2", "node-2": "node-1"}[loser]
	lost := disruption{reason: "an interface of two is lost", limit: sudden}
	pages := s.watch(s.both())
	s.link(loser, "lan1 down")
	for a, p := range pages {
		lost.pass(p)
		lost.judge(s, a, p.stop())
	}
	s.within(10*second, "the other node announces both", on(heir))
}
