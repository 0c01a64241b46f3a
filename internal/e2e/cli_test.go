package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/fairlead-lb/fairlead/internal/cli"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

// A broken cluster, as users break theirs.
type broken struct {
	// breaks are manifests that are applied, and commands what is run after them.
	breaks   string
	commands []string
	// object and reason are what doctor must find, and fills what a person puts into its command.
	object, reason string
	fills          []string
	// undo are commands that take back what is left of it.
	undo []string
}

// theBroken were written down before there was a doctor. Each has the Service web, which is served in a healthy cluster.
var theBroken = map[string]broken{
	"NoPool": {
		commands: []string{"delete service web", "delete ipaddresspool main", "apply web"}, object: "service NS/web", reason: "NoPool",
		fills: []string{"<range>", "172.30.0.100-172.30.0.103"}, undo: []string{"delete ipaddresspool default --ignore-not-found"},
	},
	"OnlyOnRequest": {
		breaks: pool("main", "172.30.0.100-172.30.0.103", "  autoAssign: false") + service("late", "", ""), object: "service NS/late", reason: "NoPool",
	},
	"PoolNotFound": {breaks: service("late", "fairlead.io/pool: none", ""), object: "service NS/late", reason: "PoolNotFound"},
	"PoolOfMetalLB": {
		breaks: service("late", "metallb.io/address-pool: production", ""), object: "service NS/late", reason: "PoolNotFound",
	},
	"NotAdmitted": {
		breaks: pool("closed", "172.30.0.104-172.30.0.105", "  serviceAllocation: {namespaces: [elsewhere]}") + service("late", "fairlead.io/pool: closed", ""),
		object: "service NS/late", reason: "NotAdmitted", undo: []string{"delete ipaddresspool closed"},
	},
	"NotInPool":      {breaks: service("late", "fairlead.io/ips: 203.0.113.9", ""), object: "service NS/late", reason: "NotInPool"},
	"InUse":          {breaks: service("late", "", "loadBalancerIP: 172.30.0.100"), object: "service NS/late", reason: "AddressInUse"},
	"Invalid":        {breaks: service("late", "kube-vip.io/loadbalancerIPs: 0.0.0.0/0", ""), object: "service NS/late", reason: "InvalidRequest"},
	"FamilyMismatch": {breaks: service("late", `fairlead.io/ips: "2001:db8::1"`, ""), object: "service NS/late", reason: "FamilyMismatch"},
	"Exhausted": {
		breaks: pool("main", "172.30.0.100") + service("late", "", ""), object: "service NS/late", reason: "PoolExhausted",
		fills: []string{"<range>", "172.30.0.101-172.30.0.102"},
	},
	"Quota": {
		breaks: pool("main", "172.30.0.100-172.30.0.103", "  namespaceQuota: 1") + service("late", "", ""), object: "service NS/late", reason: "QuotaExceeded",
	},
	"NoClaim": {
		breaks: service("late", "fairlead.io/claim: front", ""), object: "service NS/late", reason: "ClaimNotFound", undo: []string{"delete ipclaim front"},
	},
	"NotLoadBalancer": {
		breaks: "---\napiVersion: v1\nkind: Service\nmetadata: {name: late}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n",
		object: "explain late", reason: "NotLoadBalancer",
	},
	"NoAdvertisement": {
		commands: []string{"delete l2advertisement all"}, object: "service NS/web", reason: "NoAdvertisement", undo: []string{"delete l2advertisement main"},
	},
	"PoolForgotten": {
		breaks: pool("second", "172.30.0.104-172.30.0.105") + advertised("ipAddressPools: [main]"), object: "ipaddresspool second", reason: "NoAdvertisement",
		undo: []string{"delete ipaddresspool second", "delete l2advertisement second"},
	},
	"PoolRenamed": {
		breaks: advertised("ipAddressPools: [main, former]"), object: "l2advertisement all", reason: "PoolNotFound",
	},
	"NoSuchNodes":     {breaks: advertised("nodeSelectors: [{matchLabels: {edge: 'yes'}}]"), object: "l2advertisement all", reason: "NoNode"},
	"NoSuchInterface": {breaks: advertised("interfaces: [bond0]"), object: "service NS/web", reason: "NoNode"},
	"AllExcluded": {
		commands: []string{"label nodes --all node.kubernetes.io/exclude-from-external-load-balancers="}, object: "service NS/web", reason: "NoNode",
		undo: []string{"label nodes --all node.kubernetes.io/exclude-from-external-load-balancers-"},
	},
	"ScaledToNone":  {commands: []string{"scale deployment web --replicas=0"}, object: "service NS/web", reason: "NoEndpoints"},
	"WrongSelector": {commands: []string{`patch service web -p {"spec":{"selector":{"app":"wbe"}}}`}, object: "service NS/web", reason: "NoEndpoints"},
	"Overlap": {
		breaks: pool("younger", "172.30.0.103-172.30.0.105"), object: "ipaddresspool younger", reason: "Overlap", undo: []string{"delete ipaddresspool younger"},
	},
	"AddressesOfNodes": {
		breaks: pool("wide", "172.30.0.8/29") + advertised(""), object: "ipaddresspool wide", reason: "NodeAddress", undo: []string{"delete ipaddresspool wide"},
	},
	"NoController": {
		commands: []string{"-n fairlead-system scale deployment controller --replicas=0"}, object: "deployment fairlead-system/controller", reason: "NotAvailable",
	},
}

// TestMended: doctor names what is wrong at the object at fault, with no more rights than a viewer has, and the command that it gives
// mends it. The Service web is served again afterwards, or the one that is late.
func TestMended(t *testing.T) {
	s := tell(t, shared)
	s.base = lastBase // nobody fetches a page
	viewer := s.viewer()
	base := pool("main", "172.30.0.100-172.30.0.103") + advertised("")
	s.apply(web(2))
	for name, b := range theBroken {
		t.Run(name, func(t *testing.T) {
			s := s.part(t)
			s.apply(base + service("web", "fairlead.io/ips: 172.30.0.100", ""))
			s.within(30*second, "healthy", func() error { return viewer.healthy("web") })
			for _, c := range append([]string{"delete service late --ignore-not-found"}, b.undo...) {
				s.afterwards(append([]string{"-n", s.ns}, strings.Fields(c)...)...)
			}
			if b.breaks != "" {
				s.apply(b.breaks)
			}
			for _, c := range b.commands {
				if c == "apply web" {
					s.apply(service("web", "", ""))
					continue
				}
				s.kubectl(strings.Fields(c)...)
			}
			var mend string
			s.within(20*second, "found", func() (err error) {
				mend, err = viewer.finds(strings.ReplaceAll(b.object, "NS", s.ns), b.reason)
				return err
			})
			t.Logf("$ %s", mend)
			s.bash(s.own(strings.NewReplacer(b.fills...).Replace(mend)))
			s.within(40*second, "mended", func() error {
				if _, err := viewer.finds(strings.ReplaceAll(b.object, "NS", s.ns), b.reason); err == nil {
					return fmt.Errorf("%s is still found", b.reason)
				}
				if strings.HasSuffix(b.object, "late") {
					return viewer.healthy("late")
				}
				return viewer.healthy("web")
			})
		})
	}
}

// bash runs a command line as a person would who has kubectl.
func (s *story) bash(line string) {
	s.Helper()
	cmd := exec.Command("bash", "-c", line)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig(), "PATH="+filepath.Dir(s.KubectlPath())+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// plugin is kubectl fairlead as somebody runs it.
type plugin struct {
	*story
	kubeconfig string
}

// viewer returns the plugin of somebody who has the ClusterRole fairlead-viewer and nothing else.
func (s *story) viewer() plugin {
	s.Helper()
	s.kubectl("create", "serviceaccount", "viewer")
	s.kubectl("create", "clusterrolebinding", s.ns, "--clusterrole=fairlead-viewer", "--serviceaccount="+s.ns+":viewer")
	s.Cleanup(func() { s.afterwards("delete", "clusterrolebinding", s.ns) })
	rc, err := s.RESTConfig()
	s.must(err)
	kubeconfig := filepath.Join(s.TempDir(), "viewer")
	s.must(clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{"lab": {Server: rc.Host, CertificateAuthorityData: rc.CAData}},
		AuthInfos:      map[string]*api.AuthInfo{"viewer": {Token: strings.TrimSpace(s.kubectl("create", "token", "viewer"))}},
		Contexts:       map[string]*api.Context{"lab": {Cluster: "lab", AuthInfo: "viewer", Namespace: s.ns}},
		CurrentContext: "lab",
	}, kubeconfig))
	return plugin{s, kubeconfig}
}

// run runs the plugin.
func (p plugin) run(args ...string) (status int, out, errs string) {
	var o, e bytes.Buffer
	status = cli.Run(p.Context(), append(args, "--kubeconfig", p.kubeconfig, "--fairlead-namespace", lab.Namespace), strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

// healthy returns an error unless a Service is explained to be served.
func (p plugin) healthy(service string) error {
	if status, out, errs := p.run("explain", "service", service); status != 0 {
		return fmt.Errorf("explain ends with %d: %s%s", status, out, errs)
	}
	return nil
}

// finds returns the command that doctor gives for what is wrong with an object, or explain, where the object says so.
func (p plugin) finds(object, reason string) (mend string, err error) {
	if service, explain := strings.CutPrefix(object, "explain "); explain {
		_, out, errs := p.run("explain", "service", service, "-o", "json")
		var e cli.Explanation
		if err := json.Unmarshal([]byte(out), &e); err != nil {
			return "", fmt.Errorf("%w: %s", err, errs)
		}
		for _, step := range e.Steps {
			if step.Reason == reason && !step.OK {
				return e.Mend, nil
			}
		}
		return "", fmt.Errorf("explain says %s", out)
	}
	_, out, errs := p.run("doctor", "-o", "json")
	var d cli.Diagnosis
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		return "", fmt.Errorf("%w: %s", err, errs)
	}
	for _, f := range d.Findings {
		if f.Object == object && f.Reason == reason {
			return f.Mend, nil
		}
	}
	return "", fmt.Errorf("doctor says %s", out)
}
