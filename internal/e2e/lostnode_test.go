package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/controller/outage"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

// rotation is until when requests may fail that are sent to a pod of a node whose cable was pulled; Kubernetes alone takes 40 to 50 seconds. Later
// some percent may: a client that takes the port again of a connection that was begun to the lost pod, within the two minutes for which
// the announcing node's kernel remembers that, is sent there again.
const (
	rotation = 3 * second
	strays   = 3
)

// forgiven is after how long a node that was lost is like any other. One that comes and goes is marked ever later.
const forgiven = 16 * second

// TestLostNode: a node whose cable is pulled takes its pods with it out of rotation, whether or not it announces, or has the
// controller that leads; and when it is back, its kubelet puts them in again.
func TestLostNode(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("main", "172.30.0.100-172.30.0.103") + advertised("") + web(3) + service("web", "", ""))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.Run("APIServerDown", func(t *testing.T) { s.in(t).lostUnheard() })
	for _, tc := range []struct {
		name string
		node func(s *story) string
	}{
		{"Bystander", (*story).bystander},
		{"Announcer", func(s *story) string { return s.announcer("web") }},
		{"Leader", (*story).leader},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			s.within(60*second, "a pod on each node", s.allReady)
			s.served(s.own("172.30.0.100"))
			node := tc.node(s)
			began := time.Now()
			p := s.probe(s.own("172.30.0.100"), 20*time.Millisecond)
			time.Sleep(second)
			s.must(s.PullCable(node))
			replug := sync.OnceFunc(func() { s.check(s.ReplugCable(node)) })
			t.Cleanup(replug)
			lost := time.Since(began)
			time.Sleep(rotation + 3*second)
			pages := p.stop()
			last, late := time.Duration(0), 0
			for _, f := range pages.Failed() {
				if at := f.At - lost; at < rotation {
					last = at
				} else {
					late++
				}
			}
			t.Logf("%s: %d pages failed, the last %.2f s after the cable was pulled; %d later", node, len(pages.Failed())-late, last.Seconds(), late)
			if 100*late > strays*len(pages) {
				t.Errorf("pages go on to fail: %d of %d", late, len(pages))
			}
			if ready := s.podsReady(); ready[node] {
				t.Errorf("the pod on %s is ready", node)
			}
			s.tells("web", "node "+node+" is lost")
			if tc.name == "Announcer" {
				s.within(5*second, "its history says so", func() error {
					history := s.service("web").Annotations[kube.AnnotationHistory]
					if !strings.Contains(history, "moved from "+node+" to ") || !strings.Contains(history, "the node is lost") {
						return errors.New(history)
					}
					return nil
				})
			}
			replug()
			s.within(30*second, "its kubelet makes it ready again", func() error {
				if !s.podsReady()[node] {
					return fmt.Errorf("the pod on %s is not ready", node)
				}
				return nil
			})
			s.stays(3*second, "it is not marked again", func() error {
				if !s.podsReady()[node] {
					return fmt.Errorf("the pod on %s is not ready", node)
				}
				return nil
			})
		})
	}
}

// lostUnheard has a node be lost while the API server is away: its pods stay in rotation, as nobody can be told, and leave it when the API
// server is back.
func (s *story) lostUnheard() {
	s.within(60*second, "a pod on each node", s.allReady)
	node := s.bystander()
	replug := sync.OnceFunc(func() { s.check(s.ReplugCable(node)) })
	s.withoutAPIServer(func() {
		s.Cleanup(replug)
		s.must(s.PullCable(node))
		time.Sleep(3 * second)
		p := s.probe(s.own("172.30.0.100"), 50*ms)
		time.Sleep(4 * second)
		if pages := p.stop(); len(pages.Failed()) == 0 || len(pages.Failed()) == len(pages) {
			s.Errorf("%d of %d pages failed, want those for the lost pod", len(pages.Failed()), len(pages))
		}
	})
	back := time.Now()
	// kube-proxy has been told that the API server ends, and waits for up to 30 seconds before it asks for news: for so long nobody reaches the
	// Service kubernetes. Kubernetes itself marks the pods after 40.
	for _, n := range s.Nodes() {
		s.must(s.Stop(n + "/kube-proxy"))
		s.must(s.Start(n + "/kube-proxy"))
	}
	s.within(20*second, "it is marked", func() error {
		if s.podsReady()[node] {
			return fmt.Errorf("the pod on %s is ready", node)
		}
		return nil
	})
	s.Logf("its pod is marked %.1f s after the API server is back", time.Since(back).Seconds())
	s.tells("web", "node "+node+" is lost")
	replug()
	s.within(60*second, "all ready again", s.allReady)
	time.Sleep(forgiven)
}

// bystander is a node with a ready pod that neither announces nor has the controller that leads, if there is one.
func (s *story) bystander() string {
	s.Helper()
	announcer := s.announcer("web")
	for node := range s.podsReady() {
		if node != announcer && node != s.leader() {
			return node
		}
	}
	return s.other(announcer)
}

// allReady returns an error unless a pod of the web server is ready on each node.
func (s *story) allReady() error {
	s.Helper()
	if ready := s.podsReady(); len(ready) != len(s.Nodes()) {
		return fmt.Errorf("ready are %v", ready)
	}
	return nil
}

// TestWrongAlarm: a node that the others cannot reach, and the API server can, is taken for lost, once. Its kubelet makes its pods ready
// again within seconds, and so they stay, until the others reach it and after that.
func TestWrongAlarm(t *testing.T) {
	const cutFor = 30 * second
	s := tell(t, shared)
	s.base = lastBase
	s.apply(pool("main", "172.30.0.100-172.30.0.103") + advertised(`nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node-1}}]`) + web(3) + service("web", "", ""))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.within(60*second, "a pod on each node", s.allReady)
	const node = "node-3"
	others := lab.NodeAddrs(1).V4.String() + ", " + lab.NodeAddrs(2).V4.String()
	mend := sync.OnceFunc(func() { s.nft(node, "delete table ip cut") })
	s.nft(node, "add table ip cut; add chain ip cut in { type filter hook prerouting priority -300; }; add rule ip cut in ip saddr { "+others+" } drop; "+
		"add chain ip cut out { type filter hook output priority -300; }; add rule ip cut out ip daddr { "+others+" } drop")
	t.Cleanup(mend)
	marks, longest := 0, time.Duration(0)
	since := time.Time{} // when its pod was marked; zero while it is ready
	for began := time.Now(); time.Since(began) < cutFor; time.Sleep(50 * ms) {
		switch ready := s.podsReady()[node]; {
		case !ready && since.IsZero():
			marks++
			since = time.Now()
		case ready && !since.IsZero():
			longest, since = max(longest, time.Since(since)), time.Time{}
		}
	}
	t.Logf("marked %d times in %s, for %s at most", marks, cutFor, longest)
	if marks != 1 || longest > 15*second || !since.IsZero() {
		t.Errorf("marked %d times in %s, for %s at most; want it once, and its kubelet to mend that within 15 seconds", marks, cutFor, longest)
	}
	if ready := s.podsReady(); !ready["node-1"] || !ready["node-2"] {
		t.Errorf("one node cannot have others marked, and ready are %v", ready)
	}
	mend()
	s.within(20*second, "all ready again", s.allReady)
	s.stays(5*second, "and they stay so", s.allReady)
}

// podsReady are the nodes on which a pod of the web server is ready.
func (s *story) podsReady() map[string]bool {
	s.Helper()
	var pods corev1.PodList
	s.must(s.api.List(s.Context(), &pods, client.InNamespace(s.ns)))
	out := map[string]bool{}
	for _, p := range pods.Items {
		if slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && c.Reason != outage.NodeLost
		}) {
			out[p.Spec.NodeName] = true
		}
	}
	return out
}

// leader is the node on which the controller runs that leads.
func (s *story) leader() string {
	s.Helper()
	node, err := s.Leader(s.Context())
	s.must(err)
	return node
}

// other is a node that is not this one.
func (s *story) other(than string) string {
	for _, node := range s.Nodes() {
		if node != than {
			return node
		}
	}
	return ""
}
