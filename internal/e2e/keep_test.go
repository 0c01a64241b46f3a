package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// adding gives a workload more arguments, and NET_ADMIN if it needs it, until the story ends; whatever happens to it meanwhile.
func (s *story) adding(workload string, netAdmin bool, args ...string) {
	s.Helper()
	before := s.globally("-n", lab.Namespace, "get", workload, "-o", "jsonpath={.spec.template}")
	s.afterwards("-n", lab.Namespace, "rollout", "status", workload, "--timeout=90s")
	s.afterwards("-n", lab.Namespace, "patch", workload, "--type=json", "-p", `[{"op": "replace", "path": "/spec/template", "value": `+before+`}]`)
	s.must(s.Add(s.Context(), workload, netAdmin, args...))
}

// keeping has the speakers keep connections and answer pings, as the components of these names do, until the story ends.
func (s *story) keeping() {
	s.Helper()
	s.Cleanup(func() { // what they leave is no other story's
		for _, node := range s.Nodes() {
			s.nft(node, "add table ip fairlead; delete table ip fairlead; add table ip6 fairlead; delete table ip6 fairlead")
		}
	})
	s.adding("daemonset/speaker", true, "--keep-connections-for=1h", "--answer-ping", "--yield-cordoned")
	s.within(10*second, "the speakers say so", func() error {
		var all v1beta1.SpeakerStatusList
		s.must(s.api.List(s.Context(), &all))
		for i := range all.Items {
			if c := meta.FindStatusCondition(all.Items[i].Status.Conditions, v1beta1.ConditionKeepsConnections); c == nil || c.Reason != "Keeping" {
				return fmt.Errorf("%s says %v", all.Items[i].Name, c)
			}
		}
		return nil
	})
}

// pings has a host ping addresses, which the nodes that announce them answer.
func (s *story) pings(from string, addresses ...string) {
	s.Helper()
	for _, a := range addresses {
		out, err := s.Host(from).Command(s.Context(), "ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", a).CombinedOutput()
		if err != nil || !strings.Contains(string(out), " 3 received") {
			s.Errorf("ping of %s: %v\n%s", a, err, out)
		}
	}
}

// TestKeepConnections: connections that are open when an address moves go on, whatever moved it.
func TestKeepConnections(t *testing.T) {
	s := tell(t, shared)
	s.base = lastBase
	s.apply(pool("main", `172.30.0.100-172.30.0.108, "fd30::100:ff00/120"`) + advertised(either) + web(2, "nodeSelector: {kubernetes.io/hostname: node-3}") +
		service("web", "", "ipFamilyPolicy: RequireDualStack"))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.keeping()
	s.pings(lab.Client, s.both()...)
	label := func(node string, how string) { s.kubectl("label", "node", node, corev1.LabelNodeExcludeBalancers+how) }
	for _, tc := range []struct {
		name     string
		do, undo func(s *story, node string)
	}{
		{"Label", func(_ *story, node string) { label(node, "=") }, func(_ *story, node string) { label(node, "-") }},
		{"Cordon", func(s *story, node string) { s.kubectl("cordon", node) }, func(s *story, node string) { s.kubectl("uncordon", node) }},
		{
			"Drain", func(s *story, node string) {
				s.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
			},
			func(s *story, node string) { s.kubectl("uncordon", node) },
		},
		{
			"Preference", func(s *story, node string) {
				other := map[string]string{"node-1": "node-2", "node-2": "node-1"}[node]
				s.apply(advertised(either + fmt.Sprintf(`, preferredNodeSelectors: [{weight: 10, preference: {matchLabels: {kubernetes.io/hostname: %s}}}]`, other)))
			},
			func(s *story, _ string) { s.apply(advertised(either)) },
		},
		{
			"SpeakersRestarted", func(s *story, node string) {
				label(node, "=")
				s.moved(node)
				s.kubectl("-n", lab.Namespace, "rollout", "restart", "daemonset/speaker")
				s.must(s.RolledOut(s.Context(), "daemonset/speaker"))
			},
			func(_ *story, node string) { label(node, "-") },
		},
	} {
		s.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			s.settled()
			before := s.announcers()
			node := before[s.both()[0]]
			pages := s.watching(s.both(), 2*second)
			s.held(50, func() {
				tc.do(s, node)
				defer tc.undo(s, node)
				s.within(30*second, "all moved", func() error {
					for address, now := range s.announcers() {
						if was := before[address]; was == node && now == was {
							return fmt.Errorf("%s is announced by %s still", address, now)
						}
					}
					return nil
				})
				time.Sleep(3 * second)
			})
			s.pings(lab.Client, s.both()...)
			for a, p := range pages {
				if all := p.stop(); len(all.Failed()) > 0 {
					s.Errorf("%d of %d pages of %s failed, first: %v", len(all.Failed()), len(all), a, all.Failed()[0].Err)
				}
			}
		})
	}
	s.Run("Rebalanced", func(t *testing.T) {
		s := s.in(t)
		s.rebalanced(func() {
			status, out, errs := plugin{s, s.Kubeconfig()}.run("rebalance", "--yes")
			if status != 0 || !strings.Contains(out, "2 addresses move.") || strings.Contains(out, "break") {
				s.Errorf("rebalance ends with %d: %s%s", status, out, errs)
			}
		})
	})
	s.Run("APIServerDown", func(t *testing.T) {
		s := s.in(t)
		s.settled()
		node := s.announcer("web")
		s.held(50, func() {
			label(node, "=")
			s.moved(node)
			s.withoutAPIServer(func() { time.Sleep(15 * second) })
		})
		label(node, "-")
	})
	s.Run("RebalancedByController", func(t *testing.T) {
		s := s.in(t)
		s.adding("deployment/controller", false, "--rebalance-after=15s")
		s.rebalanced(func() {})
	})
}

// withoutAPIServer stops the API server while something is done. Longer than 40 seconds, and Kubernetes takes all nodes for lost.
func (s *story) withoutAPIServer(do func()) {
	s.Helper()
	s.Cleanup(func() { s.check(s.Wake(context.Background())) })
	start := sync.OnceFunc(func() { s.check(s.Start(lab.APIServer)) })
	s.Cleanup(start)
	s.must(s.Stop(lab.APIServer))
	do()
	start()
	s.apiServerAnswers()
}

// rebalanced has one node announce everything, as the other was away, and sees that evened out.
func (s *story) rebalanced(do func()) {
	s.Helper()
	label := func(how string) { s.kubectl("label", "node", "node-2", corev1.LabelNodeExcludeBalancers+how) }
	s.apply(service("second", "", "") + service("third", "", ""))
	label("=")
	defer label("-")
	s.within(15*second, "node-1 announces all", func() error {
		for _, svc := range []string{"web", "second", "third"} {
			if node := s.announcer(svc); node != "node-1" {
				return fmt.Errorf("%s is announced by %s", svc, node)
			}
		}
		return nil
	})
	time.Sleep(second)
	label("-")
	s.settled()
	before := s.announcers()
	s.held(50, func() {
		do()
		s.within(40*second, "half of them moved", func() error {
			moved := 0
			for a, node := range s.announcers() {
				if before[a] != node {
					moved++
				}
			}
			if second := s.announcer("second"); moved == 0 || second == "node-1" && moved < 2 {
				return fmt.Errorf("%v, and second by %s", s.announcers(), second)
			}
			return nil
		})
		time.Sleep(2 * second)
	})
}

// A port that no Service has, and an address of the aggregate that none has.
const unserved, unused = routed4 + ":81", "198.51.100.2:80"

// circles returns an error unless what is for an address that nobody serves goes to and fro between router and node, or does not: where
// its TTL is over the client hears of it.
func (s *story) circles(to string, want bool) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(s.Context(), second)
		defer cancel()
		c, err := s.Host(lab.FarClient).DialContext(ctx, "tcp", to)
		if err == nil {
			_ = c.Close()
			return errors.New("somebody serves it")
		}
		if errors.Is(err, syscall.EHOSTUNREACH) != want {
			return err
		}
		return nil
	}
}

// TestBGPKeepConnections: behind routers that spread connections over all nodes, each goes on when nodes are drained and come back.
func TestBGPKeepConnections(t *testing.T) {
	s := routed(t, "", "", lab.Routing{BFD: lab.BFD{Interval: 300 * ms, Multiplier: 3}, Graceful: true})
	s.apply(`---
apiVersion: fairlead.io/v1beta1
kind: BGPAdvertisement
metadata: {name: aggregate}
spec: {ipAddressPools: [routed], aggregationLength: 30}
`)
	all := s.Nodes()
	s.within(30*second, "announced", s.forwards(routed4+"/32", all...))
	s.within(30*second, "and the aggregate", s.forwards("198.51.100.0/30", all...))
	for _, to := range []string{unserved, unused} {
		s.within(10*second, to+" goes to and fro, and this story proves something", s.circles(to, true))
	}
	s.keeping()
	s.within(30*second, "announced", s.forwards(routed4+"/32", all...))
	for _, to := range []string{unserved, unused} {
		s.within(10*second, to+" ends at the node", s.circles(to, false))
	}
	s.pings(lab.FarClient, routed4)
	h := s.hold(lab.FarClient, routed4, 100)
	s.afterwards("label", "nodes", "--all", corev1.LabelNodeExcludeBalancers+"-")
	pages := s.fetchingFar(func() {
		for _, node := range []string{"node-1", "node-2"} {
			s.kubectl("label", "node", node, corev1.LabelNodeExcludeBalancers+"=")
			others := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == node })
			s.within(20*second, "routers send to others", s.forwards(routed4+"/32", others...))
			time.Sleep(12 * second) // the routes are withdrawn
			s.kubectl("label", "node", node, corev1.LabelNodeExcludeBalancers+"-")
			s.within(20*second, "and to it again", s.forwards(routed4+"/32", all...))
			time.Sleep(2 * second)
		}
	})
	if lost := h.Stop(); len(lost) > 0 {
		t.Errorf("%d of 100 connections lost, first: %v", len(lost), lost[0])
	}
	if cut := slices.DeleteFunc(pages, func(a measure.Attempt) bool { return !a.Cut() }); len(cut) > 0 {
		t.Errorf("%d pages were cut, first: %v", len(cut), cut[0].Err)
	}

	// A node that dies takes the connections with it that it carried, and no other. The pods are elsewhere.
	s.kubectl("patch", "deployment", "web", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"node-3"}}}}}`)
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	time.Sleep(2 * second) // kube-proxy knows
	h = s.hold(lab.FarClient, routed4, 100)
	carried, err := measure.Carried(t.Context(), s.Host("node-1"), netip.MustParseAddr(routed4))
	s.must(err)
	replug := sync.OnceFunc(func() { s.check(s.ReplugCable("node-1")) })
	t.Cleanup(replug)
	s.must(s.PullCable("node-1"))
	time.Sleep(8 * second) // longer than a connection waits for a page
	lost := h.Stop()
	replug()
	t.Logf("of 100 connections node-1 carried %d, and %d were lost with it", carried, len(lost))
	if len(lost) > carried || carried == 0 || carried == 100 {
		t.Errorf("%d connections were lost with a node that carried %d, first: %v", len(lost), carried, lost[0])
	}
	s.within(60*second, "it comes back", s.forwards(routed4+"/32", all...))
	s.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
}
