package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fairlead-lb/fairlead/internal/debian"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

// A monitor is a Prometheus beside the control plane.
type monitor struct {
	*story
	at     string
	client http.Client
}

// monitor starts a Prometheus with the scrape configuration that the documentation gives, and the alerts as they are shipped.
func (s *story) monitor() *monitor {
	s.Helper()
	s.must(debian.Ensure(s.Context(), s.Logf, debian.Program{File: "prometheus", Package: "prometheus"}))
	s.kubectl("create", "serviceaccount", "prometheus")
	s.afterwards("delete", "clusterrolebinding", "prometheus-fairlead")
	s.kubectl("create", "clusterrolebinding", "prometheus-fairlead", "--clusterrole=fairlead-metrics-reader", "--serviceaccount="+s.ns+":prometheus")
	dir := s.TempDir()
	token := filepath.Join(dir, "token")
	s.must(os.WriteFile(token, []byte(strings.TrimSpace(s.kubectl("create", "token", "prometheus", "--duration=3h"))), 0o600))

	page, err := os.ReadFile("../../docs/metrics.md")
	s.must(err)
	_, config, _ := strings.Cut(string(page), "```yaml\n")
	config, _, _ = strings.Cut(config, "```")
	config = strings.Replace(config, "/var/run/secrets/kubernetes.io/serviceaccount/token", token, 1) // it does not run in a pod
	// Debian's Prometheus cannot ask Kubernetes for pods: it reads from a file what Prometheus' own discovery would find.
	targets := filepath.Join(dir, "targets.json")
	before, after, _ := strings.Cut(config, "  kubernetes_sd_configs:\n")
	_, after, found := strings.Cut(after, "  relabel_configs:\n")
	if !found {
		s.Fatal("metrics.md has another scrape configuration than this test knows")
	}
	config = before + "  file_sd_configs: [{files: [" + targets + "]}]\n  relabel_configs:\n" + after
	s.must(s.discover(targets))
	go func() {
		for s.Context().Err() == nil {
			time.Sleep(second)
			_ = s.discover(targets) // or the next time
		}
	}()
	rules := filepath.Join(dir, "rules.yaml")
	var rule struct {
		Spec map[string]any `json:"spec"`
	}
	text, err := os.ReadFile("../../manifests/components/prometheus/rules.yaml")
	s.must(err)
	s.must(yaml.Unmarshal(text, &rule))
	text, err = yaml.Marshal(rule.Spec)
	s.must(err)
	s.must(os.WriteFile(rules, text, 0o600))
	main := filepath.Join(dir, "prometheus.yaml")
	s.must(os.WriteFile(main, []byte("global: {scrape_interval: 5s, evaluation_interval: 5s}\nrule_files: ["+rules+"]\n"+config), 0o600))

	m := &monitor{story: s, at: "127.0.0.1:9090"}
	m.client = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: s.Host(lab.Control).DialContext, DisableKeepAlives: true}}
	log, err := os.Create(filepath.Join(dir, "log"))
	s.must(err)
	cmd := s.Host(lab.Control).Command(s.Context(), "prometheus", "--config.file="+main, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+m.at)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.must(cmd.Start())
	s.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && s.Failed() {
			s.Logf("%s", text)
		}
	})
	s.within(60*time.Second, "Prometheus reads all pods", func() error {
		up, err := m.query(`sum(up{job="fairlead"})`)
		if err != nil {
			return err
		}
		if want := len(s.Nodes()) + 2; len(up) != 1 || up[0].value() != fmt.Sprint(want) {
			return fmt.Errorf("%v are read, want %d", up, want)
		}
		return nil
	})
	return m
}

// discover writes what Prometheus' discovery of pods finds: a target for each port of each container.
func (s *story) discover(file string) error {
	var pods corev1.PodList
	if err := s.api.List(s.Context(), &pods, client.InNamespace(lab.Namespace)); err != nil {
		return err
	}
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for _, p := range pods.Items {
		for _, port := range p.Spec.Containers[0].Ports {
			if p.Status.PodIP == "" {
				continue
			}
			groups = append(groups, group{
				Targets: []string{net.JoinHostPort(p.Status.PodIP, fmt.Sprint(port.ContainerPort))},
				Labels: map[string]string{
					"__meta_kubernetes_pod_name": p.Name, "__meta_kubernetes_pod_node_name": p.Spec.NodeName, "__meta_kubernetes_pod_container_port_name": port.Name,
					"__meta_kubernetes_pod_label_app_kubernetes_io_component": p.Labels["app.kubernetes.io/component"],
				},
			})
		}
	}
	text, err := json.Marshal(groups)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// A sample is one result of a query: of an instant, or of a range.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
	Values [][2]any          `json:"values"`
}

func (s sample) value() string { return fmt.Sprint(s.Value[1]) }

// query evaluates an expression now.
func (m *monitor) query(expr string) ([]sample, error) {
	return m.ask("query", url.Values{"query": {expr}})
}

// during evaluates an expression from a time on until now.
func (m *monitor) during(expr string, since time.Time) ([]sample, error) {
	return m.ask("query_range", url.Values{
		"query": {expr}, "start": {since.UTC().Format(time.RFC3339)}, "end": {time.Now().UTC().Format(time.RFC3339)}, "step": {"5"},
	})
}

func (m *monitor) ask(what string, v url.Values) ([]sample, error) {
	response, err := m.client.Get("http://" + m.at + "/api/v1/" + what + "?" + v.Encode())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var out struct {
		Error string `json:"error"`
		Data  struct {
			Result []sample `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	if out.Error != "" {
		return nil, fmt.Errorf("%s: %s", v.Get("query"), out.Error)
	}
	return out.Data.Result, nil
}

// firing returns the names of the alerts that have fired since a time, with when, in seconds after it, each was seen first.
func (m *monitor) firing(since time.Time) (map[string]float64, error) {
	all, err := m.during(`ALERTS{alertstate="firing"}`, since)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, s := range all {
		if len(s.Values) == 0 {
			continue
		}
		at, _ := s.Values[0][0].(float64)
		after := at - float64(since.Unix())
		if was, ok := out[s.Metric["alertname"]]; !ok || after < was {
			out[s.Metric["alertname"]] = after
		}
	}
	return out, nil
}
