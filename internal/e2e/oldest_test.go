package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// TestOldest: all of it on the oldest minor of Kubernetes that is supported, with kube-proxy in mode iptables. The other stories have the
// newest one, and mode nftables.
func TestOldest(t *testing.T) {
	on := another(t, lab.Options{Name: "e2e-oldest", Nodes: 3, Kubernetes: lab.Oldest, ProxyMode: lab.IPTables})
	if out, err := on.Kubectl(t.Context(), nil, "version"); err != nil || strings.Count(out, "v"+lab.Oldest+".") != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tc := range []struct {
		name string
		does func(*story)
	}{
		{"Objects", (*story).described},
		{"Layer2", (*story).failsOver},
		{"KeepConnections", (*story).keepsByPolicy},
		{"BGP", (*story).announcedToRouters},
		{"Protect", (*story).protected},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.does(tell(t, on)) })
	}
	logs, err := on.Kubectl(t.Context(), nil, "-n", lab.Namespace, "logs", "-l", "app.kubernetes.io/component=controller", "--tail=-1")
	if err != nil {
		t.Fatal(err)
	}
	if bad := unknownKinds.FindAllString(logs, 3); len(bad) > 0 {
		t.Errorf("the controllers miss what this Kubernetes does not have: %q", bad)
	}
}

var unknownKinds = regexp.MustCompile(`.*(no matches for kind|could not find the requested resource|failed to list).*`)

// described has the API server refuse what is wrong, and explain what there is.
func (s *story) described() {
	s.Helper()
	for wrong, why := range map[string]string{
		pool("main", "172.30.0.100-172.30.0.103, 172.30.0.0/33"):           "spec.addresses[1]: Invalid value",
		pool("main", "172.30.0.100-172.30.0.103", "  exclude: [nonsense]"): "spec.exclude[0]: Invalid value",
	} {
		if out := s.refused(wrong); !strings.Contains(out, why) {
			s.Errorf("it is refused with %q, want %q", out, why)
		}
	}
	if out := s.kubectl("explain", "ipaddresspools.spec.addresses"); !strings.Contains(out, "CIDR") {
		s.Errorf("explained is %q", out)
	}
	s.apply(pool("main", "172.30.0.100-172.30.0.103") + advertised("") + web(1) + service("web", "", ""))
	s.announcer("web")
	p := s.viewer()
	s.within(20*second, "the plugin finds nothing", func() error { return p.healthy(s.ns + "/web") })
}

// failsOver pulls the cable of the node that announces.
func (s *story) failsOver() {
	s.Helper()
	s.dual(either)
	s.undergo(disruption{name: "Cable", reason: "a dead node costs under a second", limit: sudden, do: pulled})
}

// keepsByPolicy moves an address with connections that go on, by whichever policy.
func (s *story) keepsByPolicy() {
	s.Helper()
	s.apply(pool("main", "172.30.0.100-172.30.0.108") + advertised("") + web(3) + service("web", "", ""))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.keeping()
	node := s.announcer("web")
	for _, policy := range []string{"Cluster", "Local"} {
		s.kubectl("patch", "service", "web", "--type=merge", "-p", `{"spec":{"externalTrafficPolicy":"`+policy+`"}}`)
		time.Sleep(second)
		s.served("172.30.0.100")
		p := s.probe("172.30.0.100", 20*ms)
		s.held(50, func() {
			s.kubectl("label", "node", node, "node.kubernetes.io/exclude-from-external-load-balancers=")
			now := s.moved(node)
			time.Sleep(2 * second)
			s.kubectl("label", "node", node, "node.kubernetes.io/exclude-from-external-load-balancers-")
			node = now
		})
		s.without(p.stop())
		s.served("172.30.0.100")
	}
}

// announcedToRouters announces an address of each family to FRR and BIRD.
func (s *story) announcedToRouters() {
	s.Helper()
	s.routed("", "", lab.Routing{BFD: lab.BFD{Interval: 300 * ms, Multiplier: 3}, Graceful: true})
	for _, prefix := range []string{routed4 + "/32", routed6 + "/128"} {
		s.within(30*second, "announced", s.forwards(prefix, s.Nodes()...))
	}
	s.within(10*second, "page", s.far(routed4))
	s.within(10*second, "page", s.far(routed6))
	s.within(10*second, "what the peers say", s.peersSay("3/3 established"))
}
