//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	testName    = "lab-test"
	creatorMode = "FAIRLEAD_LAB_TEST_CREATOR" // names the lab that this program starts instead of running tests
)

func TestMain(m *testing.M) {
	Init()
	if name := os.Getenv(creatorMode); name != "" {
		create(name)
	}
	os.Exit(m.Run())
}

// create starts a lab, says so, and waits for what the test does to it.
func create(name string) {
	if _, err := Up(context.Background(), Options{Name: name, Nodes: 1, Log: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("up")
	select {}
}

func needLab(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a cluster, which -short leaves out")
	}
	if os.Geteuid() != 0 {
		t.Skip("starts a cluster, which only root can")
	}
}

const webManifest = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: web
    image: fairlead.io/lab/web:latest
    imagePullPolicy: IfNotPresent
    env:
    - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: DRAIN, value: 0s}
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  clusterIP: 10.96.77.77
  clusterIPs: ["10.96.77.77", "fd96::7777"]
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
`

// TestLab goes through what a lab is used for, in one cluster because starting it is what takes time.
func TestLab(t *testing.T) {
	needLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	before := traces(t, testName)
	l, err := Up(ctx, Options{Name: testName, Nodes: 1, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Down(context.WithoutCancel(ctx)) // once more does no harm

	if _, err := Up(ctx, Options{Name: testName}); err == nil || !strings.Contains(err.Error(), "make lab-down") {
		t.Errorf("second lab of the name: %v", err)
	}
	checkPages(ctx, t, l)
	checkKubectl(ctx, t, l)
	checkCable(t, l)
	checkInterface(t, l)
	checkRouters(ctx, t, l)
	checkComponents(ctx, t, l)

	if err := l.Down(ctx); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, testName); left != before {
		t.Errorf("traces of the lab:\n%s\nbefore it:\n%s", left, before)
	}
	if _, err := Attach(ctx, Options{Name: testName}); err == nil {
		t.Error("attached to a lab that was ended")
	}
}

func checkPages(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	kubectl(ctx, t, l, webManifest, "apply", "-f", "-")
	kubectl(ctx, t, l, "", "wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
	ips := strings.Fields(kubectl(ctx, t, l, "", "get", "pod", "web", "-o", "jsonpath={.status.podIPs[*].ip}"))
	if len(ips) != 2 {
		t.Fatalf("the pod's addresses are %q", ips)
	}
	pages := []struct{ host, url string }{
		{Client, "http://" + ips[0] + ":8080"},
		{Client, "http://[" + ips[1] + "]:8080"},
		{Client, "http://172.30.0.11:30080"},
		{Client, "http://[fd30::11]:30080"},
		{FarClient, "http://172.30.0.11:30080"},
		{FarClient, "http://[fd30::11]:30080"},
		{"node-1", "http://10.96.77.77"},
		{"node-1", "http://[fd96::7777]"},
	}
	for _, page := range pages {
		waitPage(t, l, page.host, page.url)
	}
}

// waitPage gives kube-proxy a moment to hear of the pod.
func waitPage(t *testing.T, l *Lab, host, url string) {
	t.Helper()
	var text string
	var err error
	for range 100 {
		if text, err = fetch(l.Host(host), url); err == nil && strings.HasPrefix(text, "pod=web node=node-1 client=") {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("fetch %s from %s: %q, %v", url, host, text, err)
}

func fetch(h *Host, url string) (string, error) {
	transport := &http.Transport{DialContext: h.DialContext, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func checkKubectl(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	kubectl(ctx, t, l, "", "logs", "web")
	// The image has no other program, and the second one finds the port taken, which shows that it ran.
	if _, err := l.Kubectl(ctx, nil, "exec", "web", "--", "/web"); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("kubectl exec: %v", err)
	}
	attached, err := Attach(ctx, Options{Name: testName})
	if err != nil {
		t.Fatal(err)
	}
	out, err := attached.Host("node-1").Command(ctx, "hostname").Output()
	if got := string(out); err != nil || got != "node-1\n" {
		t.Errorf("hostname on node-1: %q, %v", got, err)
	}
}

func checkCable(t *testing.T, l *Lab) {
	t.Helper()
	if err := l.PullCable("node-1"); err != nil {
		t.Fatal(err)
	}
	if text, err := fetch(l.Host(Client), "http://172.30.0.11:30080"); err == nil {
		t.Errorf("without cable the node answers %q", text)
	}
	err := l.netlink("node-1", func(h *netlink.Handle) error {
		link, err := h.LinkByName("eth0")
		if err == nil && link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 {
			err = fmt.Errorf("carrier is there: %v", link.Attrs())
		}
		return err
	})
	if err != nil {
		t.Errorf("eth0 of a node without cable: %v", err)
	}
	if err := l.ReplugCable("node-1"); err != nil {
		t.Fatal(err)
	}
	waitPage(t, l, Client, "http://172.30.0.11:30080")
	if err := l.PullCable("node-2"); err == nil {
		t.Error("pulled the cable of a node that does not exist")
	}
}

func checkInterface(t *testing.T, l *Lab) {
	t.Helper()
	prefix := FarClientAddrs.prefixes()[0]
	if err := l.AddInterface("node-1", "eth1", "extra", prefix); err != nil {
		t.Fatal(err)
	}
	if err := l.RemoveInterface("node-1", "eth1"); err != nil {
		t.Error(err)
	}
}

func checkComponents(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	if err := l.Stop(APIServer); err != nil {
		t.Fatal(err)
	}
	if out, err := l.Kubectl(ctx, nil, "get", "nodes", "--request-timeout=2s"); err == nil {
		t.Errorf("without API server kubectl prints %q", out)
	}
	if err := l.Start(APIServer); err != nil {
		t.Fatal(err)
	}
	for _, component := range []string{"node-1/kubelet", "node-1/containerd", "node-1/kube-proxy"} {
		if err := l.Kill(component); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(component); err != nil {
			t.Fatal(err)
		}
	}
	err := eventually(ctx, "wait for the API server", func(ctx context.Context) error {
		_, err := l.Kubectl(ctx, nil, "get", "pod", "web")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	waitPage(t, l, Client, "http://172.30.0.11:30080")
	if err := l.Start("nobody"); err == nil || !strings.Contains(err.Error(), "node-1/kubelet") {
		t.Errorf("start what does not exist: %v", err)
	}
}

// TestCreatorKilled kills the process that started a lab, and starts another one of the name at once.
func TestCreatorKilled(t *testing.T) {
	needLab(t)
	const name = "lab-test-orphan"
	before := traces(t, name)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), creatorMode+"="+name)
	cmd.Stderr = t.Output()
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer Remove(context.Background(), Options{Name: name})
	if line, err := io.ReadAll(io.LimitReader(said, 3)); string(line) != "up\n" {
		t.Fatalf("creator says %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // it was killed
	l, err := Up(t.Context(), Options{Name: name, Nodes: 1, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	// This time it is the anchor that dies.
	if err := l.state.Anchor.kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, name); left != before {
		t.Errorf("traces of the lab:\n%s\nbefore it:\n%s", left, before)
	}
}

// TestInterrupted gives up in the middle of Up.
func TestInterrupted(t *testing.T) {
	needLab(t)
	const name = "lab-test-interrupted"
	before := traces(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	l, err := Up(ctx, Options{Name: name, Nodes: 1, Log: t.Output()})
	if err == nil {
		l.Down(context.Background())
		t.Skip("this machine starts a cluster before it can be interrupted")
	}
	if left := traces(t, name); left != before {
		t.Errorf("after %v, traces of the lab:\n%s\nbefore it:\n%s", err, left, before)
	}
}

func kubectl(ctx context.Context, t *testing.T, l *Lab, stdin string, args ...string) string {
	t.Helper()
	out, err := l.Kubectl(ctx, strings.NewReader(stdin), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// traces lists all that bears a lab's name or could be a lab's: processes, mounts, cgroups, files, interfaces, and how many
// network namespaces there are, as seen from the machine.
func traces(t *testing.T, name string) string {
	t.Helper()
	var all bytes.Buffer
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		line, _ := os.ReadFile(file) // the process may be gone
		if os.Getpid() != pidOf(file) && (bytes.Contains(line, []byte(stateRoot+"/"+name+"/")) || bytes.HasSuffix(line, []byte("\x00"+name+"\x00"))) {
			fmt.Fprintf(&all, "process %s\n", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&all, "mounts\n%s", mounts)
	cgroups, err := leftCgroups(paths{name})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&all, "cgroups %q\n", cgroups)
	files, err := filepath.Glob(stateRoot + "/" + name + "*")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&all, "files %q\n", files)
	if _, err := netlink.LinkByName(paths{name}.hostLink()); err == nil {
		fmt.Fprintf(&all, "interface %s\n", paths{name}.hostLink())
	}
	return all.String()
}

func pidOf(cmdline string) (pid int) {
	fmt.Sscanf(cmdline, "/proc/%d/", &pid)
	return pid
}
