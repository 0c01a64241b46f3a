package cli

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

var update = flag.Bool("update", false, "write the golden files")

// run runs a command line as a user would.
func run(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = Run(context.Background(), args, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func healthy(t *testing.T) *Cluster {
	t.Helper()
	c, err := fromBundle("testdata/healthy.yaml", "fairlead-system")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// golden compares with a file, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

// TestGolden: what users see.
func TestGolden(t *testing.T) {
	for name, tc := range map[string]struct {
		args   string
		status int
	}{
		"help":          {"--help", 0},
		"help-explain":  {"explain --help", 0},
		"help-validate": {"validate --help", 0},
		"status":        {"status", 0},
		"doctor":        {"doctor", 0},
		"explain":       {"explain service shop/web", 0},
		"explain-json":  {"explain svc web -n shop -o json", 0},
		"explain-yaml":  {"explain shop/web -o yaml", 0},
		"pools":         {"pools", 0},
		"pool":          {"pools default", 0},
		"l2":            {"l2", 0},
		"bgp":           {"bgp", 0},
		"history":       {"history", 0},
		"history-json":  {"history 192.0.2.9 -o json", 0},
	} {
		t.Run(name, func(t *testing.T) {
			args := strings.Fields(tc.args)
			if !strings.HasPrefix(name, "help") {
				args = append(args, "--from-bundle", "testdata/healthy.yaml")
			}
			status, out, errs := run(t, args...)
			if status != tc.status || errs != "" {
				t.Errorf("status %d, errors %q", status, errs)
			}
			golden(t, name+".txt", out)
			if strings.HasPrefix(name, "help") {
				return
			}
			for line := range strings.Lines(out) {
				if len(line) > columns+1 && !strings.Contains(tc.args, "-o") {
					t.Errorf("wider than %d columns: %q", columns, line)
				}
			}
		})
	}
}

// TestUsage: mistakes end with 2 and say what is wrong.
func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"nonsense":                  "unknown command",
		"explain":                   "accepts between 1 and 2 arg(s)",
		"explain pod a/b":           "only Services can be explained",
		"explain shop/none":         "there is no Service shop/none",
		"pools none":                "there is no IPAddressPool none",
		"status -o table":           `--output "table": want json or yaml`,
		"validate":                  `required flag(s) "filename" not set`,
		"validate -f no-such-file":  "no such file",
		"status --from-bundle none": "no such file",
	} {
		fields := strings.Fields(args)
		if !strings.Contains(args, "--from-bundle") {
			fields = append(fields, "--from-bundle", "testdata/healthy.yaml")
		}
		status, _, errs := run(t, fields...)
		if status != exitError || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %q; want %q", args, status, errs, want)
		}
	}
}

// situations are what goes wrong in clusters; what is found, and the command that mends it.
var situations = map[string]struct {
	breaks       func(c *Cluster)
	object       string
	reason, mend string
}{
	"NoPool": {func(c *Cluster) {
		c.Pools.Items = nil
		pending(c, "NoPool", "there is no IPAddressPool")
	}, "service shop/web", "NoPool", `echo '{"apiVersion":"fairlead.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"default"},"spec":{"addresses":["<range>"]}}' | kubectl apply -f -`},
	"OnlyOnRequest": {func(c *Cluster) {
		c.Pools.Items[0].Spec.AutoAssign = new(bool)
		pending(c, "NoPool", "pool default is only for Services that ask for it (autoAssign: false)")
	}, "service shop/web", "NoPool", "kubectl -n shop annotate service web fairlead.io/pool=default"},
	"PoolNotFound": {func(c *Cluster) {
		annotate(c, "metallb.io/address-pool", "none")
		pending(c, "PoolNotFound", "there is no pool none")
	}, "service shop/web", "PoolNotFound", "kubectl -n shop annotate service web metallb.io/address-pool-"},
	"NotInPool": {func(c *Cluster) {
		annotate(c, "fairlead.io/ips", "203.0.113.1")
		pending(c, "NotInPool", "203.0.113.1 belongs to no pool")
	}, "service shop/web", "NotInPool", "kubectl -n shop annotate service web fairlead.io/ips-"},
	"InUse": {func(c *Cluster) {
		c.Services.Items[0].Spec.LoadBalancerIP = "192.0.2.2"
		pending(c, "AddressInUse", "192.0.2.2 is held by shop/other")
	}, "service shop/web", "AddressInUse", `kubectl -n shop patch service web --type=json -p '[{"op":"remove","path":"/spec/loadBalancerIP"}]'`},
	"Invalid": {func(c *Cluster) {
		annotate(c, "fairlead.io/ips", "elsewhere")
		annotate(c, "fairlead.io/pool", "default")
		pending(c, "InvalidRequest", `annotation fairlead.io/ips: "elsewhere" is not an IP address`)
	}, "service shop/web", "InvalidRequest", "kubectl -n shop annotate service web fairlead.io/ips-"},
	"Exhausted": {func(c *Cluster) {
		pending(c, "PoolExhausted", "all IPv4 addresses that this Service may have are in use (pool default)")
	}, "service shop/web", "PoolExhausted", `kubectl patch ipaddresspool default --type=json -p '[{"op":"add","path":"/spec/addresses/-","value":"<range>"}]'`},
	"Quota": {func(c *Cluster) {
		c.Pools.Items[0].Spec.NamespaceQuota = 1
		pending(c, "QuotaExceeded", "namespace shop holds all IPv4 addresses that the namespaceQuota lets it have (pool default)")
	}, "service shop/web", "QuotaExceeded", `kubectl patch ipaddresspool default --type=merge -p '{"spec":{"namespaceQuota":2}}'`},
	"NoClaim": {func(c *Cluster) {
		annotate(c, "fairlead.io/claim", "front")
		pending(c, "ClaimNotFound", "there is no IPClaim front")
	}, "service shop/web", "ClaimNotFound", `echo '{"apiVersion":"fairlead.io/v1beta1","kind":"IPClaim","metadata":{"name":"front","namespace":"shop"},"spec":{"families":["IPv4"]}}' | kubectl apply -f -`},
	"ControllerDown": {func(c *Cluster) {
		c.Deployments.Items[0].Status.AvailableReplicas = 0
	}, "deployment fairlead-system/controller", "NotAvailable", "kubectl -n fairlead-system describe pods -l app.kubernetes.io/component=controller"},
	"NotSeen": {func(c *Cluster) {
		c.Services.Items[0].Generation = 2
	}, "service shop/web", "NotSeen", "kubectl -n fairlead-system get pods -l app.kubernetes.io/component=controller"},
	"NoAdvertisement": {func(c *Cluster) {
		c.L2Advertisements.Items = nil
		silent(c, "NoAdvertisement", "no L2Advertisement or BGPAdvertisement is for pool default and this Service")
	}, "service shop/web", "NoAdvertisement", `echo '{"apiVersion":"fairlead.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"default"},"spec":{"ipAddressPools":["default"]}}' | kubectl apply -f -`},
	"NoEndpoints": {func(c *Cluster) {
		c.Slices.Items[0].Endpoints = nil
		silent(c, "NoEndpoints", "the Service has no ready endpoint")
	}, "service shop/web", "NoEndpoints", "kubectl -n shop get pods -l app=web"},
	"AllExcluded": {func(c *Cluster) {
		for i := range c.Nodes.Items {
			c.Nodes.Items[i].Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
		}
		silent(c, "NoNode", "no node can announce: 2 labelled")
	}, "node node-1", "AllExcluded", "kubectl label nodes --all node.kubernetes.io/exclude-from-external-load-balancers-"},
	"OneExcluded": {func(c *Cluster) {
		c.Nodes.Items[1].Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
		c.Services.Items[0].Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		c.Slices.Items[0].Endpoints = slices.DeleteFunc(c.Slices.Items[0].Endpoints, func(e discoveryv1.Endpoint) bool { return *e.NodeName == "node-1" })
		silent(c, "NoNode", "no node can announce: 1 labelled, 1 without a ready endpoint")
	}, "service shop/web", "NoNode", "kubectl label node node-2 node.kubernetes.io/exclude-from-external-load-balancers-"},
	"SelectsNoNode": {func(c *Cluster) {
		c.L2Advertisements.Items[0].Spec.NodeSelectors = []v1beta1.LabelSelector{{MatchLabels: map[string]string{"edge": "yes"}}}
		silent(c, "NoNode", "no node can announce: 2 not selected by an advertisement")
	}, "l2advertisement default", "NoNode", `kubectl patch l2advertisement default --type=merge -p '{"spec":{"nodeSelectors":null}}'`},
	"Unadvertised": {func(c *Cluster) {
		c.L2Advertisements.Items[0].Spec.IPAddressPools = []string{"other"}
	}, "ipaddresspool default", "NoAdvertisement", `echo '{"apiVersion":"fairlead.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"default"},"spec":{"ipAddressPools":["default"]}}' | kubectl apply -f -`},
	"Overlap": {func(c *Cluster) {
		p := *c.Pools.Items[0].DeepCopy()
		p.Name, p.CreationTimestamp = "later", metav1.Now()
		c.Pools.Items = append(c.Pools.Items, p)
	}, "ipaddresspool later", "Overlap", "kubectl delete ipaddresspool later"},
	"OverlapInPart": {func(c *Cluster) {
		p := *c.Pools.Items[0].DeepCopy()
		p.Name, p.CreationTimestamp, p.Spec.Addresses = "later", metav1.Now(), []string{"192.0.2.4/30", "192.0.2.64/28"}
		p.Spec.Exclude = []string{"192.0.2.65/32"}
		c.Pools.Items = append(c.Pools.Items, p)
	}, "ipaddresspool later", "Overlap", `kubectl patch ipaddresspool later --type=merge -p '{"spec":{"exclude":["192.0.2.65/32","192.0.2.4/30"]}}'`},
	"MissingPool": {func(c *Cluster) {
		c.L2Advertisements.Items[0].Spec.IPAddressPools = []string{"default", "none"}
	}, "l2advertisement default", "PoolNotFound", `kubectl patch l2advertisement default --type=merge -p '{"spec":{"ipAddressPools":["default"]}}'`},
	"NoProfile": {func(c *Cluster) {
		c.Peers.Items = []v1beta1.BGPPeer{{
			ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Spec: v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "198.51.100.254", BFDProfile: "fast"},
		}}
	}, "bgppeer tor", "ProfileNotFound", `echo '{"apiVersion":"fairlead.io/v1beta1","kind":"BFDProfile","metadata":{"name":"fast"},"spec":{}}' | kubectl apply -f -`},
	"ScaledToNone": {func(c *Cluster) {
		c.Slices.Items[0].Endpoints = nil
		deployed(c, 0)
		silent(c, "NoEndpoints", "the Service has no ready endpoint")
	}, "service shop/web", "NoEndpoints", "kubectl -n shop scale deployment site --replicas=1"},
	"WrongSelector": {func(c *Cluster) {
		c.Slices.Items[0].Endpoints = nil
		c.Services.Items[0].Spec.Selector = map[string]string{"app": "wbe"}
		deployed(c, 2)
		silent(c, "NoEndpoints", "the Service has no ready endpoint")
	}, "service shop/web", "NoEndpoints", `kubectl -n shop patch service web --type=json -p '[{"op":"replace","path":"/spec/selector","value":{"app":"web"}}]'`},
	"ScaledController": {func(c *Cluster) {
		c.Deployments.Items[0].Spec.Replicas = new(int32)
		c.Deployments.Items[0].Status.AvailableReplicas = 0
	}, "deployment fairlead-system/controller", "NotAvailable", "kubectl -n fairlead-system scale deployment controller --replicas=2"},
	"NoInterface": {func(c *Cluster) {
		c.L2Advertisements.Items[0].Spec.Interfaces = []string{"bond0"}
		silent(c, "NoNode", "no node can announce: 2 without a suitable network interface")
	}, "service shop/web", "NoNode", `kubectl patch l2advertisement default --type=merge -p '{"spec":{"interfaces":null}}'`},
	"NodeAddress": {func(c *Cluster) {
		c.Pools.Items[0].Spec.Addresses = append(c.Pools.Items[0].Spec.Addresses, "198.51.100.0/29")
	}, "ipaddresspool default", "NodeAddress", `kubectl patch ipaddresspool default --type=merge -p '{"spec":{"exclude":["198.51.100.1-198.51.100.2"]}}'`},
	"StrictARP": {func(c *Cluster) {
		set(&c.Speakers.Items[0].Status.Conditions, v1beta1.ConditionStrictARP, metav1.ConditionFalse, "KernelAnswers", "the kernel answers too")
	}, "speakerstatus node-1", "KernelAnswers", "kubectl -n kube-system edit configmap kube-proxy"},
	"MTU": {func(c *Cluster) {
		c.Speakers.Items[0].Status.Interfaces[0].MTU, c.Speakers.Items[1].Status.Interfaces[0].MTU = 1500, 9000
	}, "node node-2", "MTU", "kubectl debug node/node-2 -it --profile=sysadmin --image=busybox -- ip link set dev eth0 mtu 1500"},
	"NotConnected": {func(c *Cluster) {
		set(&c.Speakers.Items[0].Status.Conditions, v1beta1.ConditionConnected, metav1.ConditionFalse, "NotConnected", "port 9478")
	}, "speakerstatus node-1", "NotConnected", "kubectl describe speakerstatus node-1"},
	"Conflict": {func(c *Cluster) {
		c.Speakers.Items[0].Status.Conflicts = []v1beta1.AddressConflict{{Address: "192.0.2.1", Namespace: "shop", Service: "web", MAC: "02:00:00:00:00:99", Interface: "eth0"}}
	}, "service shop/web", "AddressConflict", ""},
	"NoSession": {func(c *Cluster) {
		c.Peers.Items = []v1beta1.BGPPeer{{
			ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Spec: v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "198.51.100.254"},
		}}
		set(&c.Peers.Items[0].Status.Conditions, v1beta1.ConditionEstablished, metav1.ConditionFalse, "NotEstablished", "0/2 established; node-1: connection refused")
	}, "bgppeer tor", "NotEstablished", "kubectl fairlead bgp"},
	"VersionSkew": {func(c *Cluster) {
		c.DaemonSets.Items[0].Spec.Template.Spec.Containers[0].Image = "registry.example:5000/speaker:v0.2.0@sha256:00"
	}, "namespace fairlead-system", "VersionSkew", "kubectl -n fairlead-system get deployment,daemonset -o wide"},
	"SpeakerSkew": {func(c *Cluster) {
		c.Speakers.Items[0].Status.Version, c.Speakers.Items[1].Status.Version = "v0.1.0", "v0.2.0"
	}, "daemonset fairlead-system/speaker", "VersionSkew", "kubectl get speakerstatuses"},
	"MetalLB": {func(c *Cluster) {
		d := *c.DaemonSets.Items[0].DeepCopy()
		d.Namespace, d.Labels = "metallb-system", map[string]string{"app.kubernetes.io/name": "metallb"}
		c.DaemonSets.Items = append(c.DaemonSets.Items, d)
	}, "daemonset metallb-system/speaker", "OtherImplementation", "kubectl -n metallb-system get daemonset speaker -o wide"},
}

// deployed adds a Deployment that the Service is meant for.
func deployed(c *Cluster, replicas int32) {
	var d appsv1.Deployment
	d.Namespace, d.Name, d.Spec.Replicas = "shop", "site", &replicas
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	d.Spec.Template.Labels = map[string]string{"app": "web", "version": "2"}
	c.Deployments.Items = append(c.Deployments.Items, d)
}

func annotate(c *Cluster, key, value string) { c.Services.Items[0].Annotations[key] = value }

// pending has the Service be without an address.
func pending(c *Cluster, reason, message string) {
	s := &c.Services.Items[0]
	s.Status = corev1.ServiceStatus{}
	delete(s.Annotations, "fairlead.io/allocated-from")
	set(&s.Status.Conditions, v1beta1.ServiceConditionAssigned, metav1.ConditionFalse, reason, message)
	s.Status.Conditions[0].ObservedGeneration = s.Generation
}

// silent has its address be announced by nobody.
func silent(c *Cluster, reason, message string) {
	set(&c.Services.Items[0].Status.Conditions, v1beta1.ServiceConditionAnnounced, metav1.ConditionFalse, reason, message)
}

func set(cs *[]metav1.Condition, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(cs, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
}

// TestSituations: what is wrong is found, at the object at fault, with the command that mends it; explain says the same of a Service.
func TestSituations(t *testing.T) {
	if len(healthy(t).Findings()) > 0 {
		t.Fatalf("a healthy cluster has findings: %v", healthy(t).Findings())
	}
	for name, tc := range situations {
		t.Run(name, func(t *testing.T) {
			c := healthy(t)
			tc.breaks(c)
			found := c.Findings()
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Object == tc.object && f.Reason == tc.reason })
			if i < 0 {
				t.Fatalf("not found: %+v", found)
			}
			if diff := cmp.Diff(tc.mend, found[i].Mend); diff != "" {
				t.Errorf("the command (-want +got):\n%s", diff)
			}
			if e, ok := c.Explain("shop", "web"); tc.object == "service shop/web" && (!ok || !e.wrong() || tc.mend != "" && e.Mend != tc.mend) {
				t.Errorf("explain: %+v", e)
			}
		})
	}
}

// TestBundle: what is saved is what was read.
func TestBundle(t *testing.T) {
	before := healthy(t)
	var text bytes.Buffer
	if err := before.bundle(&text); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bundle.yaml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := fromBundle(file, "fairlead-system")
	if err != nil {
		t.Fatal(err)
	}
	if !after.Now.Equal(before.Now) || before.Now.After(time.Now()) {
		t.Errorf("read at %s, then at %s", before.Now, after.Now)
	}
	if diff := cmp.Diff(before.Status(), after.Status()); diff != "" {
		t.Errorf("(-read +saved):\n%s", diff)
	}
}

// TestValidate: what is wrong is told at its line; alone, and together with what is there.
func TestValidate(t *testing.T) {
	const pool = "apiVersion: fairlead.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: %s}\nspec: {addresses: [%s]}\n"
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	poolOf := func(name, addresses string) string {
		return strings.NewReplacer("{name: %s}", "{name: "+name+"}", "[%s]", "["+addresses+"]").Replace(pool)
	}
	for name, tc := range map[string]struct {
		text   string
		alone  bool
		status int
		want   string
	}{
		"Good":     {poolOf("other", "203.0.113.0/24"), false, exitOK, "1 objects, nothing is wrong with them"},
		"Others":   {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: example.com/v1\nkind: X\n", true, exitOK, "0 objects"},
		"Overlap":  {poolOf("other", "192.0.2.4/31"), false, exitWrong, "error: ipaddresspool other: Overlap: 192.0.2.4/31 also belongs to pool default"},
		"Alone":    {poolOf("other", "192.0.2.4/31"), true, exitOK, "nothing is wrong"},
		"Replaces": {poolOf("default", "192.0.2.0/28"), false, exitOK, "nothing is wrong"},
		"Second":   {"# a comment\n---\n" + poolOf("a", "203.0.113.0/28") + "---\n\n" + poolOf("b", "203.0.113.0/24, nonsense"), true, exitWrong, "x.yaml:9: error: ipaddresspool b: InvalidAddresses"},
		"Twice":    {poolOf("a", "203.0.113.0/28") + "---\n" + poolOf("a", "203.0.113.0/28"), true, exitWrong, "x.yaml:6: error: ipaddresspool a: Duplicate: it is also at "},
		"Field":    {strings.Replace(poolOf("a", "203.0.113.0/28"), "addresses", "adresses", 1), true, exitError, `x.yaml:1: IPAddressPool: strict decoding error: unknown field "spec.adresses"`},
		"Warning":  {poolOf("nodes", "198.51.100.0/28"), false, exitOK, "warning: ipaddresspool nodes: NodeAddress"},
		"List":     {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: fairlead.io/v1beta1, kind: IPAddressPool, metadata: {name: a}, spec: {addresses: [x]}}\n", true, exitWrong, "x.yaml:1: error: ipaddresspool a"},
		"Broken":   {"kind: [", true, exitError, "x.yaml:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"validate", "-f", file(tc.text)}
			if !tc.alone {
				args = append(args, "--from-bundle", "testdata/healthy.yaml")
			}
			status, out, errs := run(t, args...)
			if status != tc.status || !strings.Contains(out+errs, tc.want) {
				t.Errorf("status %d:\n%s%s\nwant status %d and %q", status, out, errs, tc.status, tc.want)
			}
		})
	}
}
