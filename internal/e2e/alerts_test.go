package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// plannedFor is how long planned work is repeated in which no alert may fire. Half an hour takes too long for each run.
func plannedFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("FAIRLEAD_PLANNED")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestAlerts: planned work fires no alert, each fault fires its own within two minutes, and what rules and dashboard ask for is there.
func TestAlerts(t *testing.T) {
	s := tell(t, shared)
	s.base = lastBase
	t.Cleanup(func() { // when all is mended
		if err := s.RolledOut(context.Background(), "deployment/controller", "daemonset/speaker"); err != nil {
			t.Error(err)
		}
	})
	// A claim that is still there takes an address of the next story's pool of the same name.
	s.afterwards("-n", s.ns, "delete", "ipclaims", "--all")
	s.must(s.StartRouters(t.Context(), lab.Routing{}))
	t.Cleanup(func() {
		if err := s.StopRouters(); err != nil {
			t.Error(err)
		}
	})
	s.afterwards("delete", "bgppeers,bgpadvertisements,bfdprofiles", "--all")
	peer := func(name, address, more string) string {
		return fmt.Sprintf("---\napiVersion: fairlead.io/v1beta1\nkind: BGPPeer\nmetadata: {name: %s}\nspec: {myASN: %d, peerASN: %d, peerAddress: %s, gracefulRestart: {}%s}\n",
			name, lab.NodesASN, lab.RoutersASN, address, more)
	}
	frr, bird := lab.Router1Addrs.V4.String(), lab.Router2Addrs.V4.String()
	s.apply(pool("main", "172.30.0.100-172.30.0.105", "  namespaceQuota: 6") + advertised("ipAddressPools: [main]") + web(2) + service("web", "fairlead.io/ips: 172.30.0.100", "") +
		"---\napiVersion: fairlead.io/v1beta1\nkind: BGPAdvertisement\nmetadata: {name: all}\nspec: {ipAddressPools: [main]}\n" +
		peer("frr", frr, "") + peer("bird", bird, ""))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.served("172.30.0.100")
	m := s.monitor()
	begin := time.Now()

	for until := time.Now().Add(plannedFor(t)); ; {
		s.plannedWork()
		if time.Now().After(until) {
			break
		}
	}
	time.Sleep(30 * time.Second) // until what was to fire would have
	if fired, err := m.firing(begin); err != nil || len(fired) > 0 {
		t.Fatalf("alerts of planned work, seconds after it began: %v, %v", fired, err)
	}
	t.Logf("no alert in %s of planned work", time.Since(begin).Round(time.Second))

	broken := time.Now()
	s.breakMost(peer)
	m.fire(broken, []string{
		"FairleadServicePending", "FairleadPoolExhausted", "FairleadPoolAlmostFull", "FairleadServiceNotAnnounced", "FairleadAddressConflict",
		"FairleadConfigRefused", "FairleadBGPSessionDown", "FairleadBGPSessionFlapping", "FairleadBFDSessionDown", "FairleadStatusRefused",
		"FairleadEventsDropped", "FairleadStrictARP", "FairleadGossipRejected", "FairleadSocketFailed", "FairleadTargetDown", "FairleadGossipDisconnected",
	})

	s.rules("")
	s.within(30*second, "all speakers are connected", func() error {
		out, err := m.query("sum(fairlead_gossip_connected)")
		if err != nil || len(out) != 1 || out[0].value() != "3" {
			return fmt.Errorf("%v, %w", out, err)
		}
		return nil
	})
	broken = time.Now()
	s.split()
	s.afterwards("-n", lab.Namespace, "scale", "deployment/controller", "--replicas=2")
	s.kubectl("-n", lab.Namespace, "scale", "deployment/controller", "--replicas=0")
	m.fire(broken, []string{"FairleadNodeLost", "FairleadDuplicateAnnouncement", "FairleadNoController"})
	m.seen(begin)

	broken = time.Now()
	s.afterwards("-n", lab.Namespace, "patch", "daemonset", "speaker", "--type=json", "-p", `[{"op":"remove","path":"/spec/template/spec/nodeSelector/nowhere"}]`)
	s.kubectl("-n", lab.Namespace, "patch", "daemonset", "speaker", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"nowhere":"yes"}}}}}`)
	m.fire(broken, []string{"FairleadNoSpeaker"})
}

// run runs a line on a host.
func (s *story) run(host, line string) {
	s.Helper()
	if out, err := s.Host(host).Command(context.Background(), "bash", "-c", line).CombinedOutput(); err != nil {
		s.Errorf("%s: %s: %v\n%s", host, line, err, out)
	}
}

// rules has all nodes drop what a rule of nftables says; empty for nothing.
func (s *story) rules(input string) {
	s.Helper()
	for _, node := range s.Nodes() {
		s.run(node, "nft 'table ip story {}; delete table ip story; table ip story { chain input { type filter hook input priority 0; "+input+"; }; }'")
	}
}

// split cuts a node off from the others that does not announce the Service second, and can, but neither from the API server nor from its
// clients.
func (s *story) split() {
	s.Helper()
	announcer := s.announcer("second")
	all := s.Nodes()
	off := all[slices.IndexFunc(all, func(n string) bool { return n != announcer && n != lab.NodeName(2) })] // whose sockets fail
	for _, node := range all {
		from := s.address(off)
		if node == off {
			var others []string
			for _, n := range slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == off }) {
				others = append(others, s.address(n))
			}
			from = strings.Join(others, ", ")
		}
		s.run(node, "nft 'add rule ip story input ip saddr { "+from+" } drop'")
	}
}

func (s *story) address(node string) string {
	s.Helper()
	return strings.Fields(s.kubectl("get", "node", node, "-o", "jsonpath={.status.addresses[*].address}"))[0]
}

// plannedWork is what operators do on a good day.
func (s *story) plannedWork() {
	s.Helper()
	s.kubectl("-n", lab.Namespace, "rollout", "restart", "daemonset/speaker", "deployment/controller")
	s.kubectl("-n", lab.Namespace, "rollout", "status", "daemonset/speaker", "--timeout=90s")
	s.kubectl("-n", lab.Namespace, "rollout", "status", "deployment/controller", "--timeout=90s")
	node := s.announcer("web")
	s.kubectl("label", "node", node, "node.kubernetes.io/exclude-from-external-load-balancers=")
	s.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
	s.apply("---\napiVersion: fairlead.io/v1beta1\nkind: IPClaim\nmetadata: {name: unused}\nspec: {pool: main}\n" + service("second", "", ""))
	s.kubectl("scale", "deployment/web", "--replicas=0")
	s.within(20*second, "no endpoint", s.says("web", "fairlead.io/Announced", "NoEndpoints", ""))
	s.kubectl("uncordon", node)
	s.kubectl("label", "node", node, "node.kubernetes.io/exclude-from-external-load-balancers-")
	s.kubectl("scale", "deployment/web", "--replicas=2")
	s.kubectl("delete", "service/second")
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.served("172.30.0.100")
}

// breakMost makes all faults that leave the programs running. They are mended when the story ends.
func (s *story) breakMost(peer func(name, address, more string) string) {
	s.Helper()
	one, two := lab.NodeName(1), lab.NodeName(2)
	mended := func(host, line string) { s.Cleanup(func() { s.run(host, line) }) }
	s.Cleanup(func() { s.rules("") })

	// A pool that is full, whose addresses nobody announces, and one Service too many.
	full := pool("full", "10.99.0.0-10.99.0.9", "  autoAssign: false")
	for i := range 11 {
		full += service(fmt.Sprint("full-", i), "fairlead.io/pool: full", "")
	}
	s.afterwards("delete", "validatingadmissionpolicies,validatingadmissionpolicybindings", "--all")
	s.apply(denies("status", "['']", "['services/status']", "object.metadata.name == 'barred'") +
		denies("events", "['events.k8s.io', '']", "['events']", "object.metadata.name.startsWith('barred.')"))
	s.apply(full + pool("overlapping", "172.30.0.105-172.30.0.107") + peer("nobody", "172.30.0.99", "") +
		"---\napiVersion: fairlead.io/v1beta1\nkind: BFDProfile\nmetadata: {name: fast}\nspec: {}\n" + peer("bird", lab.Router2Addrs.V4.String(), ", bfdProfile: fast"))
	s.conflictingHost("172.30.0.100")

	// A socket filter takes memory of this kind.
	s.run(two, "sysctl -w net.core.optmem_max=1")
	mended(two, "sysctl -w net.core.optmem_max=131072")
	s.apply(pool("socket", "2001:db8:99::1") + "---\napiVersion: fairlead.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: socket}\n" +
		"spec: {ipAddressPools: [socket], nodeSelectors: [{matchLabels: {kubernetes.io/hostname: " + two + "}}]}\n" +
		advertised("ipAddressPools: [main]") +
		service("socket", "", "ipFamilies: [IPv6], ipFamilyPolicy: SingleStack"))

	s.run(one, "ip link add kube-ipvs0 type veth peer name ipvs-peer && ip link set kube-ipvs0 up")
	mended(one, "ip link delete kube-ipvs0")

	// Speakers do not gossip, and the controller that does not lead cannot be scraped.
	leader := strings.TrimSpace(s.kubectl("-n", lab.Namespace, "get", "lease", "fairlead-controller", "-o", "jsonpath={.spec.holderIdentity}"))
	for line := range strings.Lines(s.kubectl("-n", lab.Namespace, "get", "pods", "-l", "app.kubernetes.io/component=controller",
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP}{"\n"}{end}`)) {
		if f := strings.Fields(line); !strings.HasPrefix(leader, f[0]) {
			s.run(f[1], "nft 'table ip unscraped { chain forward { type filter hook forward priority 0; ip daddr "+f[2]+" tcp dport 9474 drop; }; }'")
			mended(f[1], "nft delete table ip unscraped")
		}
	}
	s.rules(fmt.Sprintf("udp dport 9478 ip saddr { %s, %s, %s } drop; tcp dport 9478 drop", s.address(one), s.address(two), s.address(lab.NodeName(3))))

	scanned, stop := s.address(two), make(chan struct{})
	s.Cleanup(func() { close(stop) })
	go func() { // a host that scans, and a router whose sessions flap
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(200 * ms):
			}
			_ = s.Host(lab.Client).Command(context.Background(), "bash", "-c", "echo nonsense > /dev/udp/"+scanned+"/9478").Run()
			if i%50 == 25 {
				_ = s.Host(lab.Router1).Command(context.Background(), "vtysh", "-c", "clear bgp *").Run()
			}
		}
	}()
	s.apply(service("barred", "fairlead.io/pool: full", "") + service("second", "", ""))
}

// denies returns a policy by which the API server refuses what is so.
func denies(name, groups, resources, when string) string {
	return fmt.Sprintf(`---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: story-%[1]s}
spec:
  matchConstraints: {resourceRules: [{apiGroups: %[2]s, apiVersions: ['*'], operations: [CREATE, UPDATE], resources: %[3]s}]}
  validations: [{expression: "!(%[4]s)"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: story-%[1]s}
spec: {policyName: story-%[1]s, validationActions: [Deny]}
`, name, groups, resources, when)
}

// fire waits until all of these alerts have fired, each within two minutes of when something broke.
func (m *monitor) fire(broken time.Time, names []string) {
	m.Helper()
	const limit = 120
	missing := func() (out []string, all map[string]float64, err error) {
		if all, err = m.firing(broken); err != nil {
			return nil, nil, err
		}
		for _, n := range names {
			if after, ok := all[n]; !ok || after > limit {
				out = append(out, n)
			}
		}
		return out, all, nil
	}
	for {
		out, all, err := missing()
		if len(out) == 0 && err == nil {
			maps.DeleteFunc(all, func(n string, _ float64) bool { return !slices.Contains(names, n) })
			m.Logf("seconds until each alert fired: %v", all)
			return
		}
		if time.Since(broken) > (limit+20)*time.Second {
			m.Fatalf("not within two minutes: %v, %v; seconds until the others fired: %v", out, err, all)
		}
		time.Sleep(second)
	}
}

// seen fails for each expression of a rule or a panel that names a metric which was not there at any time.
func (m *monitor) seen(since time.Time) {
	m.Helper()
	rules, err := os.ReadFile("../../manifests/components/prometheus/rules.yaml")
	m.must(err)
	text, err := os.ReadFile("../../manifests/components/prometheus/dashboard.json")
	m.must(err)
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	m.must(json.Unmarshal(text, &dashboard))
	for _, p := range dashboard.Panels {
		for _, x := range p.Targets {
			if all, err := m.during(strings.ReplaceAll(x.Expr, "$__rate_interval", "1m"), since); err != nil || len(all) == 0 {
				m.Errorf("panel %s shows nothing: %s: %v", p.Title, x.Expr, err)
			}
		}
	}
	for _, name := range regexp.MustCompile(`\bfairlead_[a-z0-9_]+`).FindAllString(string(rules), -1) {
		if all, err := m.during(name, since); err != nil || len(all) == 0 {
			m.Errorf("an alert asks for %s, which was never there: %v", name, err)
		}
	}
}
