package e2e

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// TestQuickStart: the commands of the page, as they are written there, bring a page through an address of a cluster of one node that has no
// load balancer.
func TestQuickStart(t *testing.T) {
	if skipped != "" {
		t.Skip(skipped)
	}
	page, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	replaced := strings.NewReplacer(
		"https://github.com/fairlead-lb/fairlead/manifests/default?ref=VERSION", filepath.Join(checkout, "manifests/default"), // there is no Internet
		"192.0.2.240-192.0.2.250", "172.30.0.240-172.30.0.250",
		"--image=nginx --port=80", "--image="+lab.WebImage+" --port=8080", // there is no registry
	)
	var script []string
	for _, text := range blocks(string(page), "sh") {
		script = append(script, replaced.Replace(text))
	}
	commands := strings.Count(strings.Join(script, ""), "kubectl ")
	if commands < 3 || commands > 6 {
		t.Fatalf("%d commands, want six at most", commands)
	}

	l, err := lab.Up(t.Context(), lab.Options{Name: "e2e-quick", Nodes: 1, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, image := range []string{"controller.tar", "speaker.tar"} {
		if err := l.LoadImage(t.Context(), filepath.Join(checkout, "build/images", image)); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	for _, text := range script {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", text)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+l.Kubeconfig(), "PATH="+filepath.Dir(l.KubectlPath())+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s\n%s", err, text, out)
		}
	}
	// The lab's image cannot be pulled, which kubectl would have the kubelet do for :latest.
	if out, err := l.Kubectl(t.Context(), nil, "patch", "deployment", "web", "--type=json", "-p",
		`[{"op":"add","path":"/spec/template/spec/containers/0/imagePullPolicy","value":"IfNotPresent"}]`); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for {
		address, err := l.Kubectl(t.Context(), nil, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		if a, bad := netip.ParseAddr(strings.TrimSpace(address)); err == nil && bad == nil {
			if _, err = l.Host(lab.Client).Get(t.Context(), a, 8080, time.Second); err == nil {
				break
			}
		}
		if time.Since(begin) > 5*time.Minute {
			t.Fatalf("no page after five minutes: address %q, %v", address, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("%d commands, and the first page after %s", commands, time.Since(begin).Round(100*time.Millisecond))
}
