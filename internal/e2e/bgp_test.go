package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
	"github.com/fairlead-lb/fairlead/internal/router"
)

// Routed addresses are on no segment.
const (
	routedPool = "198.51.100.0/28, \"2001:db8:100::/124\""
	routed4    = "198.51.100.1"
	routed6    = "2001:db8:100::1"
)

// bgpObjects are two routers, and how to announce to them. spec is YAML of the advertisement.
func bgpObjects(spec, peer string) string {
	text := `---
apiVersion: fairlead.io/v1beta1
kind: BFDProfile
metadata: {name: fast}
spec: {receiveInterval: 100, transmitInterval: 100}
---
apiVersion: fairlead.io/v1beta1
kind: BGPAdvertisement
metadata: {name: routed}
spec: {ipAddressPools: [routed], ` + spec + `}
`
	for name, address := range map[string]netip.Addr{"router-a": lab.Router1Addrs.V4, "router-b": lab.Router2Addrs.V4} {
		text += fmt.Sprintf(`---
apiVersion: fairlead.io/v1beta1
kind: BGPPeer
metadata: {name: %s}
spec: {myASN: %d, peerASN: %d, peerAddress: %s, bfdProfile: fast, gracefulRestart: {}, addressFamilies: [ipv4Unicast, ipv6Unicast]%s}
`, name, lab.NodesASN, lab.RoutersASN, address, peer)
	}
	return text
}

// routed starts a story of a Service that is announced to routers.
func routed(t *testing.T, spec, peer string, routing lab.Routing) *story {
	t.Helper()
	s := tell(t, shared)
	s.routed(spec, peer, routing)
	return s
}

// routed starts the routers, and creates a Service of both families that is announced to both.
func (s *story) routed(spec, peer string, routing lab.Routing) {
	s.Helper()
	s.must(s.StartRouters(s.Context(), routing))
	s.Cleanup(func() { s.check(s.StopRouters()) })
	s.afterwards("delete", "bgppeers,bgpadvertisements,bfdprofiles,communities", "--all")
	s.apply(bgpObjects(spec, peer) + pool("routed", routedPool, "  avoidBuggyIPs: true") + web(3) +
		service("web", "fairlead.io/ips: '"+routed4+","+routed6+"'", "ipFamilyPolicy: RequireDualStack"))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
}

// afterwards runs kubectl when the story has ended.
func (s *story) afterwards(args ...string) {
	s.Cleanup(func() {
		if out, err := s.Kubectl(context.Background(), nil, args...); err != nil {
			s.Errorf("clean up: %v\n%s", err, out)
		}
	})
}

var bothRouters = []string{lab.Router1, lab.Router2}

// forwards returns an error unless both routers send what is for a prefix to just these nodes.
func (s *story) forwards(prefix string, nodes ...string) func() error {
	return func() error {
		for _, r := range bothRouters {
			got, err := s.Forwards(r, netip.MustParsePrefix(prefix))
			if err != nil {
				return err
			}
			if !slices.Equal(got, nodes) {
				return fmt.Errorf("%s sends %s to %v, want %v", r, prefix, got, nodes)
			}
		}
		return nil
	}
}

// paths returns an error unless each path that each router has of a prefix is as judged, and there is one.
func (s *story) paths(prefix string, judge func(router.Path) error) func() error {
	return func() error {
		for _, r := range bothRouters {
			all, err := s.Paths(s.Context(), r, netip.MustParsePrefix(prefix))
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return fmt.Errorf("%s has no path to %s", r, prefix)
			}
			for _, p := range all {
				if err := judge(p); err != nil {
					return fmt.Errorf("%s, path %+v: %w", r, p, err)
				}
			}
		}
		return nil
	}
}

// far fetches the page of an address from behind the routers.
func (s *story) far(address string) func() error {
	return func() error {
		_, err := s.Host(lab.FarClient).Get(s.Context(), netip.MustParseAddr(address), 80, second)
		return err
	}
}

// peersSay returns an error unless all BGPPeers say this of their sessions.
func (s *story) peersSay(want string) func() error {
	return func() error {
		if got := s.kubectl("get", "bgppeers.fairlead.io", "-o", `jsonpath={.items[*].status.sessions}`); strings.TrimSpace(got) != want+" "+want {
			return fmt.Errorf("BGPPeers say %q, want %q of each", got, want)
		}
		return nil
	}
}

// since says when node-1's session with router-a was established.
func (s *story) since() string {
	return s.kubectl("get", "bgpstatus", "node-1", "-o", `jsonpath={.status.sessions[?(@.peer=="router-a")].since}`)
}

// weighted has one node with twice the pods of each other, and sees FRR send it twice the connections.
func (s *story) weighted() {
	s.Helper()
	s.apply(bgpObjects("weightByEndpoints: true", ""))
	s.kubectl("patch", "service", "web", "-p", `{"spec":{"externalTrafficPolicy":"Local"}}`)
	s.kubectl("scale", "deployment/web", "--replicas=4")
	s.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	pods := map[string]int{}
	for node := range strings.FieldsSeq(s.kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}")) {
		pods[s.address(node)]++
	}
	if len(pods) != 3 {
		s.Fatalf("pods by node are %v", pods)
	}
	s.within(20*second, "as much bandwidth as endpoints", func() error {
		one := map[float32]bool{}
		if err := s.paths(routed4+"/32", func(p router.Path) error {
			one[p.LinkBandwidth/float32(pods[p.NextHop.String()])] = true
			return nil
		})(); err != nil {
			return err
		}
		if one[0] || len(one) != 1 {
			return fmt.Errorf("an endpoint is worth %v, pods are %v", one, pods)
		}
		return nil
	})
	s.within(10*second, "the kernel of router-1 sends by weight", func() error {
		out, err := s.Host(lab.Router1).Command(s.Context(), "ip", "-j", "route", "show", routed4).Output()
		if err != nil {
			return err
		}
		var routes []struct {
			NextHops []struct {
				Gateway string
				Weight  int
			}
		}
		if err := json.Unmarshal(out, &routes); err != nil || len(routes) != 1 {
			return fmt.Errorf("routes are %s: %w", out, err)
		}
		for _, h := range routes[0].NextHops {
			// In percent: FRR gives each the integer of it.
			if want := 100 * pods[h.Gateway] / 4; h.Weight != want {
				return fmt.Errorf("%s has weight %d, want %d: %s", h.Gateway, h.Weight, want, out)
			}
		}
		return nil
	})
	s.within(10*second, "page", s.far(routed4))
	s.kubectl("patch", "service", "web", "-p", `{"spec":{"externalTrafficPolicy":"Cluster"}}`)
}

// TestBGP announces a Service to FRR and to BIRD: what these have of it, in their own words, and what a client behind them gets.
func TestBGP(t *testing.T) {
	s := routed(t, `communities: ["64512:100", "large:64512:1:2", no-export], med: 7, asPathPrepend: 1`, "", lab.Routing{BFD: lab.FastBFD})
	all := s.Nodes()
	s.within(30*second, "IPv4", s.forwards(routed4+"/32", all...))
	s.within(10*second, "IPv6", s.forwards(routed6+"/128", all...))
	for _, prefix := range []string{routed4 + "/32", routed6 + "/128"} {
		s.within(10*second, "attributes", s.paths(prefix, func(p router.Path) error {
			if !slices.Equal(p.ASPath, []uint32{lab.NodesASN, lab.NodesASN}) || p.MED != 7 ||
				!slices.Equal(p.Communities, []string{"64512:100", "65535:65281"}) || !slices.Equal(p.LargeCommunities, []string{"64512:1:2"}) {
				return errors.New("it is not as was asked for")
			}
			return nil
		}))
	}
	s.within(10*second, "page", s.far(routed4))
	s.within(10*second, "page", s.far(routed6))
	s.within(10*second, "what the Service says", s.says("web", v1beta1.ServiceConditionAnnounced, "Announced", routed4+" by BGP to router-a, router-b"))
	s.within(10*second, "what the peers say", s.peersSay("3/3 established"))
	if out := s.kubectl("get", "bgps", "node-1"); !strings.Contains(out, "2/2") {
		t.Errorf("the BGPStatus says %s", out)
	}
	for _, r := range bothRouters {
		s.within(10*second, "BFD", func() error {
			up, err := s.BFDUp(t.Context(), r)
			if err == nil && len(up) < len(all) {
				err = fmt.Errorf("%s reaches %v by BFD", r, up)
			}
			return err
		})
	}

	s.Run("Edited", func(t *testing.T) {
		s := s.part(t)
		s.apply(bgpObjects("localPref: 50", ""))
		s.within(10*second, "attributes", s.paths(routed4+"/32", func(p router.Path) error {
			if len(p.ASPath) != 1 || p.MED != 0 || len(p.Communities) > 0 {
				return errors.New("it is not as was asked for")
			}
			return nil
		}))
	})
	s.Run("Local", func(t *testing.T) {
		s := s.part(t)
		s.kubectl("scale", "deployment/web", "--replicas=1")
		s.kubectl("patch", "service", "web", "-p", `{"spec":{"externalTrafficPolicy":"Local"}}`)
		var node string
		s.within(30*second, "one pod", func() error {
			out := strings.Fields(s.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", `jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].nodeName}`))
			slices.Sort(out)
			if out = slices.Compact(out); len(out) != 1 {
				return fmt.Errorf("endpoints are on %v", out)
			}
			node = out[0]
			return nil
		})
		s.within(10*second, "only who has the pod", s.forwards(routed4+"/32", node))
		s.within(10*second, "page", s.far(routed4))
		s.kubectl("scale", "deployment/web", "--replicas=0")
		s.within(20*second, "nobody", s.forwards(routed4+"/32"))
		s.kubectl("patch", "service", "web", "-p", `{"spec":{"externalTrafficPolicy":"Cluster"}}`)
		s.kubectl("scale", "deployment/web", "--replicas=3")
		s.within(30*second, "all again", s.forwards(routed4+"/32", all...))
	})
	s.Run("Weighted", func(t *testing.T) { s.part(t).weighted() })
	s.Run("Aggregate", func(t *testing.T) {
		s := s.part(t)
		s.apply(bgpObjects("aggregationLength: 30, aggregationLengthV6: 126", ""))
		s.within(10*second, "the aggregate", s.forwards("198.51.100.0/30", all...))
		s.within(10*second, "the aggregate", s.forwards("2001:db8:100::/126", all...))
		s.within(10*second, "and not the address", s.forwards(routed4+"/32"))
		s.within(10*second, "page", s.far(routed4))
	})
	s.Run("Removed", func(t *testing.T) {
		s := s.part(t)
		s.kubectl("delete", "service", "web")
		s.within(10*second, "withdrawn", s.forwards("198.51.100.0/30"))
	})
}

// TestBGPPassword has routers that want signed sessions.
func TestBGPPassword(t *testing.T) {
	s := routed(t, "", ", passwordSecret: {name: routers}", lab.Routing{Password: "rosebud"})
	secret := func(password string) {
		s.kubectl("-n", lab.Namespace, "delete", "secret", "routers", "--ignore-not-found")
		s.kubectl("-n", lab.Namespace, "create", "secret", "generic", "routers", "--type=kubernetes.io/basic-auth", "--from-literal=username=bgp", "--from-literal=password="+password)
	}
	s.afterwards("-n", lab.Namespace, "delete", "secret", "routers", "--ignore-not-found")
	why := func(text string) func() error {
		return func() error {
			if out := s.kubectl("describe", "bgppeer", "router-a"); !strings.Contains(out, text) {
				return fmt.Errorf("it does not say %q: %s", text, out)
			}
			return nil
		}
	}
	s.within(20*second, "without the Secret", why("there is no Secret routers"))
	secret("citizen")
	s.within(30*second, "with another password", why("i/o timeout"))
	secret("rosebud")
	s.within(30*second, "with the right one", s.peersSay("3/3 established"))
	s.within(10*second, "page", s.far(routed4))
}

// fetchingFar fetches a page again and again from behind the routers, while something is done.
func (s *story) fetchingFar(do func()) measure.Attempts {
	s.Helper()
	p := s.fetching(20*ms, s.far(routed4))
	do()
	return p.stop()
}

// replaced leaves out what BIRD is to blame for. It replaces a route by taking it out of the kernel and putting it in again: a page in a
// hundred may find none meanwhile, and says so. FRR, whose routes are watched, replaces them in one step.
func replaced(pages measure.Attempts) measure.Attempts {
	between := max(1, len(pages)/100)
	return slices.DeleteFunc(pages, func(a measure.Attempt) bool {
		if !errors.Is(a.Err, syscall.EHOSTUNREACH) {
			return false
		}
		between--
		return between >= 0
	})
}

// rerouted leaves out also what was under way when a router changed its next hops: that goes on to another node, which resets it.
func rerouted(pages measure.Attempts) measure.Attempts {
	return slices.DeleteFunc(replaced(pages), measure.Attempt.Cut)
}

// TestBGPPlanned does what operators do, while a client fetches pages: none fails.
func TestBGPPlanned(t *testing.T) {
	// Nobody dies here: BFD may give a machine more time that has much to do.
	s := routed(t, "", "", lab.Routing{BFD: lab.BFD{Interval: 300 * ms, Multiplier: 3}, Graceful: true})
	all, prefix := s.Nodes(), netip.MustParsePrefix(routed4+"/32")
	s.within(30*second, "announced", s.forwards(routed4+"/32", all...))
	s.within(10*second, "page through every node", func() error {
		for range 30 { // each goes through one of three
			if err := s.far(routed4)(); err != nil {
				return err
			}
		}
		return nil
	})
	s.Run("SpeakersRestarted", func(t *testing.T) {
		s := s.part(t)
		watch, err := measure.WatchRoutes(s.Host(lab.Router1))
		s.must(err)
		s.without(replaced(s.fetchingFar(func() {
			s.kubectl("-n", lab.Namespace, "rollout", "restart", "daemonset/speaker")
			s.must(s.RolledOut(t.Context(), "daemonset/speaker"))
			s.within(30*second, "all sessions are back", s.forwards(routed4+"/32", all...))
		})))
		s.must(watch.Stop())
		if n := watch.Fewest(prefix); n != len(all) {
			t.Errorf("FRR had %d next hops at one time, and keeps those of a speaker that restarts: %v", n, watch.Changes(prefix))
		}
	})
	s.Run("NodeDrained", func(t *testing.T) {
		s := s.part(t)
		label := "node.kubernetes.io/exclude-from-external-load-balancers"
		s.afterwards("label", "node", "node-1", label+"-")
		s.without(rerouted(s.fetchingFar(func() {
			s.kubectl("label", "node", "node-1", label+"=")
			s.within(5*second, "routers are told first", func() error {
				paths, err := s.Paths(t.Context(), lab.Router1, prefix)
				told := slices.ContainsFunc(paths, func(p router.Path) bool { return slices.Contains(p.Communities, router.GracefulShutdown) })
				if err == nil && !told {
					err = fmt.Errorf("no path says GRACEFUL_SHUTDOWN: %+v", paths)
				}
				return err
			})
			s.within(5*second, "they send to others", s.forwards(routed4+"/32", "node-2", "node-3"))
			s.within(20*second, "then it is withdrawn", s.paths(routed4+"/32", func(p router.Path) error {
				if p.NextHop == lab.NodeAddrs(1).V4 {
					return errors.New("it is still there")
				}
				return nil
			}))
			s.kubectl("label", "node", "node-1", label+"-")
			s.within(10*second, "it announces again", s.forwards(routed4+"/32", all...))
		})))
	})
	s.Run("PeersEdited", func(t *testing.T) {
		s := s.part(t)
		watch, err := measure.WatchRoutes(s.Host(lab.Router1))
		s.must(err)
		s.without(s.fetchingFar(func() {
			before := s.since()
			s.kubectl("patch", "bgppeer", "router-a", "--type=merge", "-p", `{"spec":{"holdTime":"30s"}}`)
			s.within(10*second, "another session", func() error {
				if s.since() == before {
					return errors.New("it is the same")
				}
				return s.peersSay("3/3 established")()
			})
		}))
		s.must(watch.Stop())
		if n := watch.Fewest(prefix); n != len(all) {
			t.Errorf("FRR had %d next hops at one time while sessions began again", n)
		}
	})
	s.Run("RouterRestarted", func(t *testing.T) {
		s := s.part(t)
		s.must(s.Kill(lab.BGPd))
		s.must(s.Start(lab.BGPd))
		s.within(30*second, "its sessions are back", func() error {
			paths, err := s.Paths(t.Context(), lab.Router1, prefix)
			if err == nil && len(paths) != len(all) {
				err = fmt.Errorf("it has %+v", paths)
			}
			return err
		})
		s.within(10*second, "and in its kernel", s.forwards(routed4+"/32", all...))
		s.must(s.RolledOut(t.Context(), "daemonset/speaker")) // none has become unready
	})
	s.Run("APIServerDown", func(t *testing.T) {
		s := s.part(t)
		s.must(s.Stop(lab.APIServer))
		defer func() {
			s.must(s.Start(lab.APIServer))
			s.must(s.Wake(t.Context()))
		}()
		s.without(s.fetchingFar(func() { time.Sleep(3 * second) }))
		s.must(s.forwards(routed4+"/32", all...)())
	})
}

// TestBGPCable pulls a node's cable: with BFD the routers let go of it at once.
func TestBGPCable(t *testing.T) {
	s := routed(t, "", "", lab.Routing{BFD: lab.FastBFD})
	all := s.Nodes()
	s.within(30*second, "announced", s.forwards(routed4+"/32", all...))
	for _, r := range bothRouters {
		s.within(10*second, "BFD", func() error {
			up, err := s.BFDUp(t.Context(), r)
			if err == nil && len(up) < len(all) {
				err = fmt.Errorf("%s reaches %v by BFD", r, up)
			}
			return err
		})
	}
	s.must(s.PullCable("node-1"))
	plugged := false
	replug := func() {
		if !plugged {
			plugged = true
			s.must(s.ReplugCable("node-1"))
		}
	}
	t.Cleanup(replug)
	pulled := time.Now()
	s.within(5*second, "routers let go of the node", s.forwards(routed4+"/32", "node-2", "node-3"))
	t.Logf("the routers let go of the node after %s", time.Since(pulled))
	s.within(10*second, "page", s.far(routed4)) // one of three still goes to the node's pod
	replug()
	s.within(60*second, "it comes back", s.forwards(routed4+"/32", all...))
	s.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
}
