package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/image"
	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// cluster is a lab with Fairlead on it.
type cluster struct {
	*lab.Lab

	api client.Client
	// stories counts those that have had addresses of their own.
	stories int
}

// dump writes what one would look at first when a story has failed.
func (c *cluster) dump(w io.Writer) {
	for _, args := range [][]string{
		{"get", "nodes,pods,services,endpointslices", "-A", "-o", "wide"},
		{"get", "ipaddresspools,l2advertisements,speakerstatuses", "-o", "yaml"},
		{"-n", lab.Namespace, "logs", "deployment/controller", "--all-pods", "--tail=60"},
		{"-n", lab.Namespace, "logs", "daemonset/speaker", "--all-pods", "--tail=60"},
	} {
		out, _ := c.Kubectl(context.Background(), nil, args...)
		fmt.Fprintf(w, "$ kubectl %s\n%s\n", strings.Join(args, " "), out)
	}
}

// story is one test with a namespace of its own on a cluster. Its texts speak of the
// addresses 172.30.0.100 to .108; each story has nine others in their place, so that none
// meets an address that an earlier one has used.
type story struct {
	*testing.T
	*cluster
	ns   string
	base int
}

// firstBase is past the addresses of the nodes. lastBase is past those of all stories that need addresses nobody has used: others share it.
const (
	firstBase = 20
	lastBase  = 245
)

// own puts the story's own addresses in place of those that its text speaks of.
func (s *story) own(text string) string {
	return generic.ReplaceAllStringFunc(text, func(a string) string {
		return fmt.Sprintf("172.30.0.%d", s.block()+int(a[len(a)-1]-'0'))
	})
}

// block returns the first of the story's own addresses. A story that speaks of none has none.
func (s *story) block() int {
	if s.base == 0 {
		s.base = firstBase + 9*s.stories
		s.stories++
		if s.base+8 >= lastBase {
			s.Fatal("too many stories for the addresses that the lab has to give")
		}
	}
	return s.base
}

var generic = regexp.MustCompile(`172\.30\.0\.10[0-8]\b`)

// tell starts a story. Its objects go when it ends, and the next one starts with none.
func tell(t *testing.T, on *cluster) *story {
	t.Helper()
	if skipped != "" {
		t.Skip(skipped)
	}
	name := strings.ReplaceAll(strings.ToLower(regexp.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(strings.TrimPrefix(t.Name(), "Test"), "$1-$2")), "/", "-")
	s := &story{T: t, cluster: on, ns: name}
	s.must(s.api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.ns, Labels: map[string]string{"story": s.ns}}}))
	t.Cleanup(func() {
		ctx := context.Background()
		out, err := s.Kubectl(ctx, nil, "-n", s.ns, "delete", "services", "--all")
		if err == nil {
			out, err = s.Kubectl(ctx, nil, "delete", "ipaddresspools,l2advertisements", "--all")
		}
		if err == nil {
			out, err = s.Kubectl(ctx, nil, "delete", "namespace", s.ns, "--wait=false")
		}
		if err != nil {
			t.Errorf("clean up: %v\n%s", err, out)
		}
	})
	return s
}

func (s *story) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// apply applies YAML in the story's namespace.
func (s *story) apply(yaml string) {
	s.Helper()
	if out, err := s.Kubectl(s.Context(), strings.NewReader(s.own(yaml)), "-n", s.ns, "apply", "-f", "-"); err != nil {
		s.Fatalf("apply: %v\n%s\n%s", err, out, yaml)
	}
}

// refused applies YAML that the API server must refuse, and returns why it did.
func (s *story) refused(yaml string) string {
	s.Helper()
	out, err := s.Kubectl(s.Context(), strings.NewReader(s.own(yaml)), "-n", s.ns, "apply", "-f", "-")
	if err == nil {
		s.Fatalf("was accepted:\n%s", yaml)
	}
	return out + err.Error()
}

func (s *story) kubectl(args ...string) string {
	s.Helper()
	out, err := s.Kubectl(s.Context(), nil, append([]string{"-n", s.ns}, args...)...)
	if err != nil {
		s.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// buildImage builds a program of the module in a folder, and gives all nodes an image of it.
func (s *story) buildImage(name, folder, program, of, user string) {
	s.Helper()
	dir := s.TempDir()
	path, archive := filepath.Join(dir, program), filepath.Join(dir, program+".tar")
	cmd := exec.CommandContext(s.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, of)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("build %s: %v\n%s", of, err, out)
	}
	s.must(image.Write(archive, image.Image{Name: name, Program: path, Arch: runtime.GOARCH, User: user}))
	s.must(s.LoadImage(s.Context(), archive))
}

// globally runs kubectl without the story's namespace.
func (s *story) globally(args ...string) string {
	s.Helper()
	out, err := s.Kubectl(s.Context(), nil, args...)
	if err != nil {
		s.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// apiServerAnswers waits until the API server does again, which was started. It may be called when the test has ended.
func (s *story) apiServerAnswers() {
	s.Helper()
	s.within(30*second, "API server", func() error {
		_, err := s.Kubectl(context.Background(), nil, "get", "nodes")
		return err
	})
}

// within waits until something is so, and fails with why it is not.
func (s *story) within(limit time.Duration, what string, is func() error) {
	s.Helper()
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(20 * time.Millisecond) {
		if err = is(); err == nil {
			return
		}
	}
	s.Fatalf("%s: not within %s: %v", what, limit, err)
}

// stays checks for a while that something is so.
func (s *story) stays(long time.Duration, what string, is func() error) {
	s.Helper()
	for start := time.Now(); time.Since(start) < long; time.Sleep(100 * time.Millisecond) {
		if err := is(); err != nil {
			s.Fatalf("%s: %v", what, err)
		}
	}
}

const second = time.Second

// pool returns a pool of addresses; spec is further YAML, indented by two.
func pool(name, addresses string, spec ...string) string {
	return fmt.Sprintf("---\napiVersion: fairlead.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: %s}\nspec:\n  addresses: [%s]\n%s\n",
		name, addresses, strings.Join(spec, "\n"))
}

// advertised announces all pools; spec is YAML.
func advertised(spec string) string {
	return fmt.Sprintf("---\napiVersion: fairlead.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: all}\nspec: {%s}\n", spec)
}

// web returns a Deployment of the lab's web server, ready when it can serve.
func web(replicas int, podSpec ...string) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}
      %s
      containers:
      - name: web
        image: %s
        imagePullPolicy: IfNotPresent
        env: [{name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        resources: {requests: {cpu: 100m}} # or pages wait for containers that start on the node
`, replicas, strings.Join(podSpec, "\n      "), lab.WebImage)
}

// service returns a Service of type LoadBalancer for the web server.
func service(name, annotations, spec string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {name: %s, annotations: {%s}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}], %s}
`, name, annotations, spec)
}

func (s *story) service(name string) *corev1.Service {
	s.Helper()
	var svc corev1.Service
	s.must(s.api.Get(s.Context(), client.ObjectKey{Namespace: s.ns, Name: name}, &svc))
	return &svc
}

// shows returns an error unless a Service shows just these addresses.
func (s *story) shows(name string, want ...string) func() error {
	return func() error {
		s.Helper()
		var got []string
		for _, in := range s.service(name).Status.LoadBalancer.Ingress {
			got = append(got, in.IP)
		}
		if g, w := strings.Join(got, " "), s.own(strings.Join(want, " ")); g != w {
			return fmt.Errorf("service %s shows %q, want %q", name, g, w)
		}
		return nil
	}
}

// says returns an error unless a condition of a Service has a reason and its message a text.
func (s *story) says(name, condition, reason, text string) func() error {
	return func() error {
		s.Helper()
		c := meta.FindStatusCondition(s.service(name).Status.Conditions, condition)
		if c == nil {
			return fmt.Errorf("service %s has no condition %s", name, condition)
		}
		if c.Reason != reason || !strings.Contains(c.Message, s.own(text)) {
			return fmt.Errorf("%s of service %s says %s: %q, want %s: %q", condition, name, c.Reason, c.Message, reason, text)
		}
		return nil
	}
}

func (s *story) assigned(name, reason, text string) func() error {
	return s.says(name, v1beta1.ServiceConditionAssigned, reason, text)
}

// announcer waits until a Service's address is announced, and returns by which node.
func (s *story) announcer(name string) string {
	s.Helper()
	var node string
	s.within(10*second, "announced", func() error {
		c := meta.FindStatusCondition(s.service(name).Status.Conditions, v1beta1.ServiceConditionAnnounced)
		if c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("condition is %+v", c)
		}
		_, rest, _ := strings.Cut(c.Message, "by node ")
		node, _, _ = strings.Cut(rest, " ")
		return nil
	})
	return node
}

// page fetches the page of an address from the client.
func (s *story) page(address string) func() error {
	return func() error {
		_, err := s.Host(lab.Client).Get(s.Context(), netip.MustParseAddr(s.own(address)), 80, second)
		return err
	}
}

// answerers asks for an address by ARP from the client, and returns which nodes answer.
func (s *story) answerers(address string) []string {
	s.Helper()
	out, _ := s.Host(lab.Client).Command(s.Context(), "arping", "-c", "2", "-w", "2", "-I", "eth0", s.own(address)).CombinedOutput()
	seen := map[string]bool{}
	for _, mac := range regexp.MustCompile(`\[([0-9A-Fa-f:]{17})\]`).FindAllStringSubmatch(string(out), -1) {
		seen[s.nodeOf(mac[1])] = true
	}
	var nodes []string
	for n := range seen {
		nodes = append(nodes, n)
	}
	return nodes
}

// nodeOf returns the node that has an interface with a MAC address.
func (s *story) nodeOf(mac string) string {
	s.Helper()
	want, err := net.ParseMAC(mac)
	s.must(err)
	for _, node := range s.Nodes() {
		found := false
		s.must(s.Host(node).Do(func() error {
			ifs, err := net.Interfaces()
			for _, i := range ifs {
				found = found || i.HardwareAddr.String() == want.String()
			}
			return err
		}))
		if found {
			return node
		}
	}
	return mac
}

// probe fetches a page again and again over new connections, until its stop.
type probe struct {
	*measure.Probe
	stop func() measure.Attempts
}

// probe starts to fetch the page of an address every interval. Its stop returns what was fetched.
func (s *story) probe(address string, every time.Duration) *probe {
	return s.fetching(every, s.page(address))
}

func (s *story) fetching(every time.Duration, page func() error) *probe {
	p := &probe{Probe: measure.Start(every, page)}
	p.stop = sync.OnceValue(func() measure.Attempts {
		all := p.Stop()
		s.Logf("%d pages fetched, %d failures, longest gap %s", len(all), len(all.Failed()), all.Gap())
		return all
	})
	s.Cleanup(func() { p.stop() })
	return p
}

// without fails if anything failed.
func (s *story) without(pages measure.Attempts) {
	s.Helper()
	if failed := pages.Failed(); len(failed) > 0 {
		s.Errorf("%d of %d pages failed, first after %.2fs: %v", len(failed), len(pages), failed[0].At.Seconds(), failed[0].Err)
	}
}

// handedOver fails if anything failed but connections that were under way when the address moved: the
// node that gets their next packets does not know them, and resets them.
func (s *story) handedOver(pages measure.Attempts) {
	s.Helper()
	failed := pages.Failed()
	for _, f := range failed {
		if !f.Cut() || f.At-failed[0].At > moving {
			s.Errorf("%d pages failed, one after %.2fs: %v", len(failed), f.At.Seconds(), f.Err)
		}
	}
}

// served waits until the page of an address comes five times in a row.
func (s *story) served(address string) {
	s.Helper()
	for range 5 {
		s.within(15*second, "page of "+address, s.page(address))
	}
}

// events returns the events of a Service, a line each.
func (s *story) events(name string) string {
	s.Helper()
	return s.kubectl("events", "--for", "service/"+name, "--no-headers")
}

// tells waits until an event of a Service is told.
func (s *story) tells(name, text string) {
	s.Helper()
	s.within(5*second, "event", func() error {
		if out := s.events(name); !strings.Contains(out, s.own(text)) {
			return fmt.Errorf("no %q in\n%s", text, out)
		}
		return nil
	})
}
