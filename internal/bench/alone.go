//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/measure"
	"github.com/fairlead-lb/fairlead/internal/netns"
	"github.com/fairlead-lb/fairlead/internal/router"
)

// crowdOfOne is how many Services a speaker has that runs by itself.
const crowdOfOne = 10_000

// patienceAlone is how long it may take to announce them all, and at rest is when it has had time to give memory back.
const (
	patienceAlone = time.Minute
	atRest        = 30 * time.Second
)

// alone measures one speaker without a cluster: its API server has many Services and nothing else to do, which to create on a cluster of this
// machine takes a quarter of an hour. Two BIRDs are its routers.
func alone(ctx context.Context) error {
	var took, rss []float64
	for range *runs {
		progressf("alone")
		t, used, err := aloneOnce(ctx)
		if err != nil {
			return fmt.Errorf("alone: %w", err)
		}
		took, rss = append(took, t.Seconds()), append(rss, mib(used.RSS))
	}
	headingf("One speaker and two BIRDs, in network namespaces of their own; an API server in the bench's process has %d Services that are "+
		"announced by BGP. %d times.", crowdOfOne, *runs)
	row("the process starts → both routers have all routes", "3 s", "%.2f s", took...)
	row(fmt.Sprintf("RSS of the speaker, %s later", atRest), "120 MiB", "%.0f MiB", rss...)
	return nil
}

// hosts are the namespaces: the speaker's, and those of the routers.
var hosts = []string{"fairlead-alone", "fairlead-alone-1", "fairlead-alone-2"}

func aloneOnce(ctx context.Context) (took time.Duration, used measure.Usage, err error) {
	defer func() {
		for _, host := range hosts {
			err = errors.Join(err, ip("netns del "+host))
		}
	}()
	for _, host := range hosts {
		if err := ip("netns add "+host, "-n "+host+" link set lo up"); err != nil {
			return 0, used, err
		}
	}
	objects := crowded(crowdOfOne, []string{"node-1", "node-2", "node-3"}, netip.MustParseAddr("198.18.0.0"))
	objects = append(objects,
		&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "crowd"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"198.18.0.0/16"}}},
		&v1beta1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "crowd"}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}},
	)
	var routers []*router.Router
	for i, host := range hosts[1:] {
		r, peer, err := neighbour(ctx, host, i)
		if err != nil {
			return 0, used, err
		}
		defer func() { _ = r.Stop() }()
		routers, objects = append(routers, r), append(objects, peer)
	}
	config, stop, err := serve(objects)
	if err != nil {
		return 0, used, err
	}
	defer stop()
	began := time.Now()
	pid, end, err := speakerAt(ctx, config)
	if err != nil {
		return 0, used, err
	}
	defer end()
	for _, r := range routers {
		if err := learned(ctx, r, began); err != nil {
			return 0, used, err
		}
	}
	took = time.Since(began)
	time.Sleep(atRest)
	used, err = measure.UsageOf(pid)
	return took, used, err
}

// neighbour starts a router beside the speaker, and returns its BGPPeer.
func neighbour(ctx context.Context, host string, i int) (*router.Router, client.Object, error) {
	link, network := fmt.Sprintf("eth%d", i), fmt.Sprintf("192.0.%d.", 2+i)
	here, there := "-n "+hosts[0], "-n "+host
	if err := ip(
		here+" link add "+link+" type veth peer name eth0 netns "+host,
		here+" addr add "+network+"1/24 dev "+link, here+" link set "+link+" up",
		there+" addr add "+network+"2/24 dev eth0", there+" link set eth0 up",
	); err != nil {
		return nil, nil, err
	}
	r, err := router.Start(ctx, progressf, netns.Path(host), router.BIRD(fmt.Sprintf(`
router id %[1]s2;
protocol device {}
protocol bgp { local as 64513; neighbor %[1]s1 as 64512; passive; ipv4 { import all; export none; }; }
`, network)))
	peer := &v1beta1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("router-%d", i+1)},
		Spec:       v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: network + "2"},
	}
	return r, peer, err
}

// serve has an API server in the speaker's namespace, and returns the file that says where.
func serve(objects []client.Object) (config string, stop func(), err error) {
	s, err := newAPIServer(objects)
	if err != nil {
		return "", nil, err
	}
	var l net.Listener
	if err := netns.Do(netns.Path(hosts[0]), func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	}); err != nil {
		return "", nil, fmt.Errorf("listen beside the speaker: %w", err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }()
	dir, err := os.MkdirTemp("", "fairlead-alone-")
	stop = func() { _, _ = server.Close(), os.RemoveAll(dir) }
	if err != nil {
		return "", stop, err
	}
	config = filepath.Join(dir, "kubeconfig")
	return config, stop, os.WriteFile(config, fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "alone",
		"contexts": [{"name": "alone", "context": {"cluster": "alone"}}], "clusters": [{"name": "alone", "cluster": {"server": "http://%s"}}]}`, l.Addr()), 0o600)
}

// speakerAt starts the speaker as its manifest does.
func speakerAt(ctx context.Context, config string) (pid int, end func(), err error) {
	program := filepath.Join("build/bin", runtime.GOARCH, "fairlead-speaker")
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", hosts[0], program, "--metrics-address=0", "--log-level=error")
	cmd.Env = append(os.Environ(), "GOGC=25", "KUBECONFIG="+config, "NODE_NAME=node-1", "POD_NAMESPACE=fairlead-system")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("start the speaker: %w", err)
	}
	return cmd.Process.Pid, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}, nil
}

// learned waits until a router has all routes.
func learned(ctx context.Context, r *router.Router, since time.Time) error {
	for {
		text, err := r.Ask(ctx, "show route count")
		if err == nil && strings.Contains(text, fmt.Sprintf("%d of %[1]d routes for %[1]d networks", crowdOfOne)) {
			return nil
		}
		if time.Since(since) > patienceAlone || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("not all routes after %s: %q", patienceAlone, text), err, ctx.Err())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ip runs commands of the program ip.
func ip(commands ...string) error {
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", c, err, bytes.TrimSpace(out))
		}
	}
	return nil
}
