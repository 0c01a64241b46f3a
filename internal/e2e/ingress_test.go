package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// skipperImage is that of an Ingress controller, built from its Go module.
const skipperImage = "fairlead.io/lab/skipper:latest"

// blocks returns the code blocks of a page that are marked so.
func blocks(page, language string) (out []string) {
	for i, block := range strings.Split(page, "```") {
		if text, is := strings.CutPrefix(block, language+"\n"); i%2 == 1 && is {
			out = append(out, text)
		}
	}
	return out
}

// TestIngress: the page about Ingress controllers, as it is written, with a real one.
func TestIngress(t *testing.T) {
	s := tell(t, shared)
	s.base = lastBase
	s.buildImage(skipperImage, "ingress", "skipper", "github.com/zalando/skipper/cmd/skipper", "65532:65532")
	text, err := os.ReadFile("../../docs/ingress.md")
	s.must(err)
	page := strings.NewReplacer(
		"192.0.2.240", s.own("172.30.0.101"),
		"image: ingress-controller # the image, args and probes of the controller", "image: "+skipperImage+`
        imagePullPolicy: IfNotPresent
        args: [-kubernetes, -kubernetes-in-cluster, -kubernetes-namespace=`+s.ns+`, -kubernetes-enable-tls, -enable-kubernetes-endpointslices,
          -kubernetes-https-redirect=false, -address=:9443, -insecure-address=:9080, -wait-first-route-load, -source-poll-timeout=1000,
          -forwarded-headers=X-Forwarded-For, -support-listener=:9911]
        readinessProbe: {tcpSocket: {port: 9443}, periodSeconds: 1}
        resources: {requests: {cpu: 100m}}`,
	).Replace(string(text))

	needs, err := os.ReadFile("ingress/skipper.yaml")
	s.must(err)
	s.apply(pool("main", "172.30.0.100-172.30.0.108") + advertised("") + "---\n" + string(needs))
	backends := []string{"shop", "cart", "blog"}
	for _, name := range backends {
		s.apply(strings.NewReplacer("name: web", "name: "+name, "app: web", "app: "+name).Replace(web(1)) + fmt.Sprintf(
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: %[1]s}\nspec: {selector: {app: %[1]s}, ports: [{port: 80, targetPort: 8080}]}\n", name))
	}
	certs := t.TempDir()
	for _, script := range blocks(page, "sh") {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(script, "kubectl", "kubectl -n "+s.ns))
		cmd.Dir = certs
		cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig(), "PATH="+filepath.Dir(s.KubectlPath())+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s\n%s", err, script, out)
		}
	}
	for _, manifest := range blocks(page, "yaml") {
		s.apply(manifest)
	}
	s.kubectl("rollout", "status", "deployment/ingress", "--timeout=120s")
	for _, name := range backends {
		s.kubectl("rollout", "status", "deployment/"+name, "--timeout=60s")
	}

	s.within(20*second, "the address", s.shows("ingress", "172.30.0.101"))
	for _, tc := range []struct{ url, pod string }{
		{"https://shop.example.com/", "shop"}, {"https://shop.example.com/cart", "cart"}, {"https://blog.example.com/cart", "blog"},
		{"http://shop.example.com/cart", "cart"}, {"http://blog.example.com/", "blog"},
	} {
		want := []string{"pod=" + tc.pod + "-", " for=" + lab.ClientAddrs.V4.String()}
		s.within(30*second, tc.url, func() error { return s.says200(s.browser(certs), tc.url, want...) })
	}
	strict := s.browser(certs)
	strict.Timeout = 5 * second
	if err := s.says200(strict, "https://other.example.com/"); err == nil || !strings.Contains(err.Error(), "tls: ") {
		t.Errorf("a host without a certificate: %v", err)
	}
	on := strings.Fields(s.kubectl("get", "pods", "-l", "app=ingress", "-o", "jsonpath={.items[*].spec.nodeName}"))
	if node := s.announcer("ingress"); len(on) != 2 || on[0] == on[1] || node != on[0] && node != on[1] {
		t.Errorf("pods are on %v, and %s announces", on, node)
	}

	// The controller is rolled out, and the address moves with it.
	pages := s.fetching(20*time.Millisecond, func() error { return s.says200(s.browser(certs), "https://shop.example.com/", "pod=shop-") })
	s.kubectl("rollout", "restart", "deployment/ingress")
	s.kubectl("rollout", "status", "deployment/ingress", "--timeout=120s")
	time.Sleep(15 * second) // the former pods end
	if all := pages.stop(); len(all.Failed()) > 0 {
		t.Errorf("%d of %d pages failed while the controller was rolled out, first: %v", len(all.Failed()), len(all), all.Failed()[0].Err)
	}
}

// browser returns a client outside of the cluster that trusts the certificates in a folder, and takes every name for the address of the
// Ingress controller.
func (s *story) browser(certs string) *http.Client {
	s.Helper()
	roots := x509.NewCertPool()
	files, err := filepath.Glob(filepath.Join(certs, "*.crt"))
	s.must(err)
	for _, f := range files {
		pem, err := os.ReadFile(f)
		s.must(err)
		roots.AppendCertsFromPEM(pem)
	}
	return &http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := strings.Cut(address, ":")
			return s.Host(lab.Client).DialContext(ctx, network, net.JoinHostPort(s.own("172.30.0.101"), port))
		},
	}}
}

// says200 fetches a page, and returns an error unless it is there and has the texts.
func (s *story) says200(c *http.Client, url string, texts ...string) error {
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s %w", url, resp.Status, body, err)
	}
	for _, text := range texts {
		if !strings.Contains(string(body), text) {
			return fmt.Errorf("%s: %q has no %q", url, body, text)
		}
	}
	return nil
}
