package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A Service gets its address and answers from the client.
func TestFirstAddress(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("main", "172.30.0.100-172.30.0.108") + advertised("") + web(2) + service("web", "", ""))
	s.within(10*second, "address", s.shows("web", "172.30.0.100"))
	node := s.announcer("web")
	s.served("172.30.0.100")

	svc := s.service("web")
	if mode := svc.Status.LoadBalancer.Ingress[0].IPMode; mode == nil || *mode != corev1.LoadBalancerIPModeVIP {
		t.Errorf("ipMode is %v, want VIP", mode)
	}
	if from := svc.Annotations["fairlead.io/allocated-from"]; from != s.own("172.30.0.100=main") {
		t.Errorf("allocated from %q, want main", from)
	}
	s.within(0+second, "condition", s.assigned("web", "Assigned", "172.30.0.100 from pool main"))
	if got := s.answerers("172.30.0.100"); len(got) != 1 || got[0] != node {
		t.Errorf("%v answer ARP, want %s alone", got, node)
	}
	s.tells("web", `IPAllocated`)
	s.tells("web", `announcing 172.30.0.100 from node "`+node+`"`)
	if out := s.events("web"); strings.Contains(out, "Warning") || strings.Count(out, "nodeAssigned") != 1 || strings.Count(out, "IPAllocated") != 1 {
		t.Errorf("a healthy Service has events to worry about, or the same twice:\n%s", out)
	}
	s.within(5*second, "pool status", func() error {
		var p v1beta1.IPAddressPool
		s.must(s.api.Get(t.Context(), client.ObjectKey{Name: "main"}, &p))
		if p.Status.AssignedIPv4 != 1 || p.Status.AvailableIPv4 != 8 || p.Status.TotalIPv4 != 9 {
			return fmt.Errorf("status is %+v", p.Status)
		}
		return nil
	})
}

// Two pools: by priority, by name, by namespace, and one only on request.
func TestTwoPools(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("gold", "172.30.0.100-172.30.0.101", "  serviceAllocation: {priority: 1, namespaceSelectors: [{matchLabels: {story: two-pools}}]}") +
		pool("plain", "172.30.0.102-172.30.0.105") +
		pool("special", "172.30.0.106-172.30.0.107", "  autoAssign: false") +
		pool("closed", "172.30.0.108", "  serviceAllocation: {namespaces: [elsewhere]}"))
	s.apply(service("a", "", "") + service("b", `fairlead.io/pool: plain`, "") + service("c", `metallb.io/address-pool: special`, "") +
		service("d", `fairlead.io/ips: 172.30.0.107`, "") + service("e", `fairlead.io/pool: closed`, "") + service("f", "", "loadBalancerClass: fairlead.io/lb"))
	s.within(5*second, "named pool", s.shows("b", "172.30.0.102"))
	s.within(5*second, "pool on request", s.shows("c", "172.30.0.106"))
	s.within(5*second, "address on request", s.shows("d", "172.30.0.107"))
	s.within(5*second, "pool that does not admit", s.assigned("e", "NotAdmitted", "pool closed does not admit this Service"))
	s.within(5*second, "preferred pool", s.assigned("a", "Assigned", "from pool gold"))
	s.within(5*second, "preferred pool", s.assigned("f", "Assigned", "from pool gold"))
	s.apply(service("g", "", ""))
	s.within(5*second, "spill over", s.shows("g", "172.30.0.103"))
}

// A pool is edited: who may stay stays, who must go is told, who waits is served.
func TestPoolEdited(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("main", "172.30.0.100-172.30.0.101"))
	for _, name := range []string{"a", "b", "c"} {
		s.apply(service(name, "", ""))
		if name != "c" {
			s.within(5*second, "address", func() error {
				if len(s.service(name).Status.LoadBalancer.Ingress) == 0 {
					return errors.New("none")
				}
				return nil
			})
		}
	}
	s.within(5*second, "full pool", s.assigned("c", "PoolExhausted", "in use (pool main)"))
	s.tells("c", "AllocationFailed")

	s.apply(pool("main", "172.30.0.100-172.30.0.102"))
	s.within(5*second, "one more address", s.shows("c", "172.30.0.102"))

	s.apply(pool("main", "172.30.0.101-172.30.0.108", "  serviceAllocation: {namespaces: [elsewhere]}"))
	s.within(5*second, "reason", s.assigned("a", "NoPool", "belongs to no pool any more, and there is no other to give"))
	s.stays(second, "an address that left the pool is kept as long as there is no other", s.shows("a", "172.30.0.100"))
	s.stays(second, "who may keep its address keeps it", s.shows("b", "172.30.0.101"))
	s.stays(second, "who may keep its address keeps it", s.shows("c", "172.30.0.102"))

	s.kubectl("delete", "ipaddresspool", "main")
	s.within(5*second, "reason", s.assigned("b", "NoPool", "belongs to no pool any more"))
	s.stays(second, "nothing is taken because a pool is gone", s.shows("b", "172.30.0.101"))
	s.apply(pool("other", "172.30.0.102-172.30.0.108"))
	s.within(5*second, "another address", s.assigned("a", "Assigned", "from pool other"))
	s.tells("a", "Released IP 172.30.0.100")
	s.stays(second, "the pool may be made again", s.shows("b", "172.30.0.101"))
	s.stays(second, "who may keep its address keeps it", s.shows("c", "172.30.0.102"))
	s.within(40*second, "the pool is gone for good", s.assigned("b", "Assigned", "from pool other"))
	s.within(5*second, "all are served", func() error {
		seen := map[string]bool{}
		for _, name := range []string{"a", "b", "c"} {
			for _, in := range s.service(name).Status.LoadBalancer.Ingress {
				seen[in.IP] = true
			}
		}
		if len(seen) != 3 {
			return fmt.Errorf("three Services have %v", seen)
		}
		return nil
	})
}

// A Service is deleted: who waits has the address at once. One that is no longer
// of type LoadBalancer gives it back too, and is left clean.
func TestReuse(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("main", "172.30.0.100") + service("a", "", ""))
	s.within(5*second, "address", s.shows("a", "172.30.0.100"))
	s.apply(service("b", "", ""))
	s.within(5*second, "full", s.assigned("b", "PoolExhausted", ""))
	s.apply(service("c", "", ""))
	s.within(5*second, "full", s.assigned("c", "PoolExhausted", ""))

	s.kubectl("delete", "service", "a")
	s.within(2*second, "the longest waiting is served", s.shows("b", "172.30.0.100"))
	s.stays(second, "nobody else is", s.shows("c"))

	s.kubectl("patch", "service", "b", "-p", `{"spec":{"type":"ClusterIP"}}`)
	s.within(2*second, "the next is served", s.shows("c", "172.30.0.100"))
	s.within(2*second, "nothing of ours is left", func() error {
		b := s.service("b")
		if len(b.Status.Conditions)+len(b.Status.LoadBalancer.Ingress) > 0 || b.Annotations["fairlead.io/allocated-from"] != "" {
			return fmt.Errorf("%v %+v", b.Annotations, b.Status)
		}
		return nil
	})
}

// Dual stack: from one pool, from two, required and preferred, and a family that comes later.
func TestDualStack(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("four", "172.30.0.100-172.30.0.108"))
	s.apply(service("prefer", "", "ipFamilyPolicy: PreferDualStack") + service("require", "", "ipFamilyPolicy: RequireDualStack"))
	s.within(5*second, "one family is better than none", s.shows("prefer", "172.30.0.100"))
	s.within(5*second, "half is not enough", s.assigned("require", "NoPool", "no pool offers this Service an IPv6 address"))
	s.stays(second, "half is not enough", s.shows("require"))

	s.apply(pool("six", `"fd30::100:0/112"`))
	s.within(5*second, "the other family joins", func() error {
		prefer, require := s.service("prefer").Status.LoadBalancer.Ingress, s.service("require").Status.LoadBalancer.Ingress
		if len(prefer) != 2 || len(require) != 2 || prefer[0].IP != s.own("172.30.0.100") {
			return fmt.Errorf("%v and %v", prefer, require)
		}
		return nil
	})
	s.kubectl("patch", "service", "prefer", "-p", `{"spec":{"ipFamilyPolicy":"SingleStack"}}`)
	s.within(5*second, "a family leaves", s.shows("prefer", "172.30.0.100"))
}

// Garbage changes nothing for the others, and is told of where it is.
func TestGarbage(t *testing.T) {
	s := tell(t, shared)
	s.apply(pool("main", "172.30.0.100-172.30.0.107") + advertised("") + web(2) + service("web", "", ""))
	s.within(5*second, "address", s.shows("web", "172.30.0.100"))
	s.announcer("web")
	s.served("172.30.0.100")
	p := s.probe("172.30.0.100", 50*ms)

	for yaml, want := range map[string]string{
		pool("x", "router"):                              "it must be a CIDR such as 192.0.2.0/24",
		pool("x", "192.0.2.5/24"):                        "a CIDR must be written with its network address",
		pool("x", `"192.0.2.5-2001:db8::1"`):             "both ends of a range must be of one family",
		pool("x", ""):                                    "should have at least 1 items",
		pool("x", "192.0.2.0/24", "  exclude: [router]"): "it must be a CIDR such as 192.0.2.0/24",
		advertised(`interfaces: ["a/b"]`):                "spec.interfaces[0]",
		pool("x", "192.0.2.200-192.0.2.100"):             "a range must not end before it starts",
		pool("x", "127.0.0.0/30"):                        "cannot be used",
		advertised(`nodeSelectors: [{matchExpressions: [{key: a, operator: in, values: [b]}]}]`): "Unsupported value",
		advertised(`preferredNodeSelectors: [{weight: 0, preference: {}}]`):                      "spec.preferredNodeSelectors[0].weight",
	} {
		if got := s.refused(yaml); !strings.Contains(got, want) {
			t.Errorf("refused with %q, want %q", got, want)
		}
	}

	s.apply(pool("overlap", "172.30.0.105-172.30.0.108, 192.0.2.9"))
	s.apply(pool("backwards", `"2001:db8::9-2001:db8::1"`))
	s.apply("---\napiVersion: fairlead.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: missing}\nspec: {ipAddressPools: [nowhere]}")
	s.apply("---\napiVersion: fairlead.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: odd}\nspec: {nodeSelectors: [{matchExpressions: [{key: a b, operator: Exists}]}]}")
	for object, want := range map[string]string{
		"ipaddresspool/overlap":   "False Overlap 172.30.0.105-172.30.0.107 also belongs to pool main, which is older",
		"ipaddresspool/backwards": "False InvalidAddresses",
		"l2advertisement/missing": "False PoolNotFound no pool is called nowhere",
		"l2advertisement/odd":     "False InvalidSelector",
		"ipaddresspool/main":      "True Accepted",
		"l2advertisement/all":     "True Accepted",
	} {
		s.within(5*second, object, func() error {
			got := s.kubectl("get", object, "-o", `jsonpath={.status.conditions[0].status} {.status.conditions[0].reason} {.status.conditions[0].message}`)
			if want := s.own(want); !strings.HasPrefix(got, want) {
				return fmt.Errorf("%q, want %q", got, want)
			}
			return nil
		})
	}

	// An edit that passes the API server and cannot be read leaves what was accepted active.
	s.apply(advertised(`nodeSelectors: [{matchExpressions: [{key: a b, operator: Exists}]}]`))
	s.within(5*second, "the edit is refused", func() error {
		got := s.kubectl("get", "l2advertisement/all", "-o", `jsonpath={.status.conditions[0].reason} {.status.conditions[0].message}`)
		if !strings.HasPrefix(got, "InvalidSelector") || !strings.Contains(got, "stays active") {
			return errors.New(got)
		}
		return nil
	})
	s.stays(2*second, "and the address is announced on", s.page("172.30.0.100"))
	s.kubectl("-n", "fairlead-system", "rollout", "restart", "daemonset/speaker")
	s.kubectl("-n", "fairlead-system", "rollout", "status", "daemonset/speaker", "--timeout=90s")
	s.stays(2*second, "after the speakers were restarted too", s.page("172.30.0.100"))
	s.apply(advertised(""))

	for name, tc := range map[string]struct{ annotation, reason, text string }{
		"not-an-ip":  {`fairlead.io/ips: 172.30.0.300`, "InvalidRequest", `annotation fairlead.io/ips: "172.30.0.300" is not an IP address`},
		"two-of-one": {`fairlead.io/ips: "172.30.0.101,172.30.0.102"`, "InvalidRequest", "more than one IPv4 address"},
		"no-pool":    {`fairlead.io/pool: nowhere`, "PoolNotFound", "no pool is called nowhere"},
		"outside":    {`fairlead.io/ips: 192.0.2.1`, "NotInPool", "192.0.2.1 belongs to no pool"},
		"taken":      {`fairlead.io/ips: 172.30.0.100`, "AddressInUse", "172.30.0.100 is held by garbage/web"},
		"wrong-pool": {`fairlead.io/pool: overlap`, "PoolRefused", "pool overlap is not accepted"},
		"claim":      {`fairlead.io/claim: x`, "ClaimNotFound", "no IPClaim is called x in namespace garbage"},
	} {
		s.apply(service(name, tc.annotation, ""))
		s.within(5*second, name, s.assigned(name, tc.reason, tc.text))
		s.tells(name, tc.reason+": ")
	}
	s.kubectl("annotate", "service", "web", "fairlead.io/ips=nonsense")
	s.within(5*second, "a typo costs nothing that is held", s.assigned("web", "InvalidRequest", "nonsense"))
	s.stays(2*second, "a typo costs nothing that is held", s.shows("web", "172.30.0.100"))
	s.without(p.stop())
}

// A Service of another implementation is left alone until a pool has its address.
func TestForeignAddress(t *testing.T) {
	s := tell(t, shared)
	s.apply(service("web", "", ""))
	s.within(5*second, "nothing to give", s.assigned("web", "NoPool", "there is no IPAddressPool"))
	s.kubectl("patch", "service", "web", "--subresource=status", "-p", s.own(`{"status":{"loadBalancer":{"ingress":[{"ip":"172.30.0.105"}]}}}`))
	s.within(5*second, "somebody else's", s.assigned("web", "ForeignAddress", "172.30.0.105 was assigned by somebody else"))
	s.apply(pool("elsewhere", "192.0.2.0/24"))
	s.stays(second, "somebody else's", s.shows("web", "172.30.0.105"))
	s.apply(pool("main", "172.30.0.100-172.30.0.108"))
	s.within(5*second, "adopted as it stands", s.assigned("web", "Assigned", "172.30.0.105 from pool main"))
	s.stays(second, "adopted as it stands", s.shows("web", "172.30.0.105"))

	s.apply(service("other", "", "loadBalancerClass: example.com/other"))
	s.within(15*second, "a class that nobody serves", func() error {
		if out := s.events("other"); !strings.Contains(out, `load balancer class "example.com/other" is not served by Fairlead`) {
			return fmt.Errorf("events: %s", out)
		}
		return nil
	})
	if svc := s.service("other"); len(svc.Status.Conditions) > 0 || len(svc.Annotations["fairlead.io/allocated-from"]) > 0 {
		t.Errorf("a Service that is not ours was written: %+v", svc.Status)
	}
}

// kubectl describe tells the whole truth of a Service in a line or two.
func TestDescribe(t *testing.T) {
	s := tell(t, shared)
	s.apply(service("early", "", ""))
	s.tells("early", "NoPool: there is no IPAddressPool")
	s.apply(pool("main", "172.30.0.100") + advertised("") + web(1))
	s.within(5*second, "served at once", s.shows("early", "172.30.0.100"))
	s.apply(service("late", "", "") + service("typo", `fairlead.io/ips: 172.30.0`, "") + service("other", "", "loadBalancerClass: fairlead.io/l2"))
	s.announcer("early")
	for name, want := range map[string][]string{
		"early": {"LoadBalancer Ingress:     172.30.0.100 (VIP)", "Assigned IP 172.30.0.100 from pool main", "announcing 172.30.0.100 from node"},
		"late":  {"AllocationFailed", "PoolExhausted: all IPv4 addresses that this Service may have are in use (pool main)"},
		"typo":  {"AllocationFailed", `InvalidRequest: annotation fairlead.io/ips: "172.30.0" is not an IP address`},
		"other": {"ClassNotServed", `load balancer class "fairlead.io/l2" is not served by Fairlead, which serves class "fairlead.io/lb"`},
	} {
		s.within(15*second, name, func() error {
			out := s.kubectl("describe", "service", name)
			for _, w := range want {
				if w := s.own(w); !strings.Contains(out, w) {
					return fmt.Errorf("no %q in\n%s", w, out)
				}
			}
			return nil
		})
	}
	if got := s.kubectl("explain", "ipaddresspool.spec.addresses"); !strings.Contains(got, "The addresses of the pool") {
		t.Errorf("kubectl explain says:\n%s", got)
	}
}
