// Package manifests_test keeps the two ways to install Fairlead the same: what the chart renders and what kustomize does.
package manifests_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// tools are built once: to link one takes longer than to run it.
var tools string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if tools, err = os.MkdirTemp("", "fairlead-tools-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(tools)
		build := exec.Command("go", "build", "-modfile=../go.tools.mod", "-o", tools+"/", "helm.sh/helm/v3/cmd/helm", "sigs.k8s.io/kustomize/kustomize/v5")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build helm and kustomize:", err)
			return 1
		}
		return m.Run()
	}())
}

func run(t *testing.T, program string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(tools, program), args...)
	// Helm keeps caches in the home of whoever runs it.
	cmd.Env = append(os.Environ(), "HOME="+tools, "HELM_CACHE_HOME="+tools, "HELM_CONFIG_HOME="+tools, "HELM_DATA_HOME="+tools)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes(), nil
}

// objects are by kind, namespace and name.
type objects map[string]*unstructured.Unstructured

func parse(t *testing.T, text []byte) objects {
	t.Helper()
	out := objects{}
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := d.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(u.Object) == 0 {
			continue
		}
		key := strings.Join([]string{u.GetKind(), u.GetNamespace(), u.GetName()}, " ")
		if out[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		out[key] = u
	}
}

// template renders the chart.
func template(t *testing.T, sets ...string) objects {
	t.Helper()
	args := []string{"template", "fairlead", "chart", "--namespace", "fairlead-system", "--kube-version", "1.36.0", "--api-versions", "monitoring.coreos.com/v1"}
	for _, s := range sets {
		args = append(args, "--set-json", s)
	}
	text, err := run(t, "helm", args...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// kustomize renders manifests/default with some components.
func kustomize(t *testing.T, components ...string) objects {
	t.Helper()
	dir, err := os.MkdirTemp(".", "overlay-") //nolint:usetesting // kustomize reads nothing by an absolute path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text := "resources: [../default]\ncomponents:\n"
	for _, c := range components {
		text += "- ../components/" + c + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "kustomize", "build", dir)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, out)
}

// plain leaves out what Helm alone has: its labels, and that definitions are kept. The Namespace is made by --create-namespace.
func (o objects) plain() map[string]any {
	out := map[string]any{}
	for key, u := range o {
		if u.GetKind() == "Namespace" {
			continue
		}
		u = u.DeepCopy()
		labels := u.GetLabels()
		for _, k := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"} {
			delete(labels, k)
		}
		if u.GetKind() == "CustomResourceDefinition" {
			labels = nil
		}
		u.SetLabels(labels)
		annotations := u.GetAnnotations()
		delete(annotations, "helm.sh/resource-policy")
		u.SetAnnotations(annotations)
		out[key] = u.Object
	}
	return out
}

// TestSame: a chart without values is manifests/default, and so with the components.
func TestSame(t *testing.T) {
	for name, tc := range map[string]struct {
		sets, components []string
		objects          int
	}{
		"Default":         {nil, nil, 30},
		"NetworkPolicy":   {[]string{"networkPolicy.enabled=true"}, []string{"network-policy"}, 31},
		"Prometheus":      {[]string{`prometheus={"podMonitor":{"enabled":true},"rules":{"enabled":true},"dashboard":{"enabled":true}}`}, []string{"prometheus"}, 37},
		"Protect":         {[]string{"protect.enabled=true"}, []string{"protect"}, 38},
		"AnswerPing":      {[]string{"speaker.answerPing=true"}, []string{"answer-ping"}, 30},
		"KeepConnections": {[]string{`speaker.keepConnectionsFor="1h"`}, []string{"keep-connections"}, 30},
		"Rebalance":       {[]string{`controller.rebalanceAfter="5m"`}, []string{"rebalance"}, 30},
		"KeepLostNodes":   {[]string{"controller.markLostNodes=false"}, []string{"keep-lost-nodes"}, 28},
	} {
		t.Run(name, func(t *testing.T) {
			chart, base := template(t, tc.sets...).plain(), kustomize(t, tc.components...).plain()
			if len(chart) != tc.objects {
				t.Errorf("the chart has %d objects, want %d: %v", len(chart), tc.objects, slices.Sorted(maps.Keys(chart)))
			}
			if diff := cmp.Diff(base, chart); diff != "" {
				t.Errorf("kustomize (-) and the chart (+) differ:\n%s", diff)
			}
		})
	}
}

// at returns what a path of keys, or indices of lists, leads to.
func at(o any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch v := o.(type) {
		case map[string]any:
			o = v[strings.ReplaceAll(key, "~", ".")]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(v) {
				return nil
			}
			o = v[i]
		default:
			return nil
		}
	}
	return o
}

const (
	deployment = "Deployment fairlead-system controller"
	daemonSet  = "DaemonSet fairlead-system speaker"
	crd        = "CustomResourceDefinition  ipaddresspools.fairlead.io"
)

// TestValues: what each value does.
func TestValues(t *testing.T) {
	for name, tc := range map[string]struct {
		set, object, path string
		want              any
	}{
		"Image":      {`image={"registry":"r.example","tag":"v1"}`, daemonSet, "spec.template.spec.containers.0.image", "r.example/speaker:v1"},
		"Digest":     {`controller.image.digest="sha256:` + strings.Repeat("a", 64) + `"`, deployment, "spec.template.spec.containers.0.image", "ghcr.io/fairlead-lb/controller:dev@sha256:" + strings.Repeat("a", 64)},
		"Repository": {`speaker.image.repository="r.example/x"`, daemonSet, "spec.template.spec.containers.0.image", "r.example/x:dev"},
		"PullSecret": {`image.pullSecrets=[{"name":"s"}]`, deployment, "spec.template.spec.imagePullSecrets.0.name", "s"},
		"Class":      {`loadBalancerClass="example.com/a"`, deployment, "spec.template.spec.containers.0.args", []any{"--log-level=info", "--load-balancer-class=example.com/a"}},
		"Classless":  {`classless=false`, daemonSet, "spec.template.spec.containers.0.args", []any{"--log-level=info", "--classless=false"}},
		"LogLevel":   {`logLevel="debug"`, deployment, "spec.template.spec.containers.0.args", []any{"--log-level=debug"}},
		"Speaker":    {`speaker={"ignoreExcludeLB":true,"yieldCordoned":true,"extraArgs":["--restart-grace=5m"]}`, daemonSet, "spec.template.spec.containers.0.args", []any{"--log-level=info", "--ignore-exclude-lb", "--yield-cordoned", "--restart-grace=5m"}},
		"Env":        {`speaker.extraEnv=[{"name":"A","value":"b"}]`, daemonSet, "spec.template.spec.containers.0.env.4.value", "b"},
		"Replicas":   {`controller.replicas=3`, deployment, "spec.replicas", 3.0},
		"Tolerate":   {`speaker.tolerations=[{"operator":"Exists"}]`, daemonSet, "spec.template.spec.tolerations", []any{map[string]any{"operator": "Exists"}}},
		"Nodes":      {`speaker.nodeSelector={"edge":"yes"}`, daemonSet, "spec.template.spec.nodeSelector.edge", "yes"},
		"Affinity":   {`controller.affinity={"nodeAffinity":{}}`, deployment, "spec.template.spec.affinity", map[string]any{"nodeAffinity": map[string]any{}}},
		"Spread":     {`controller.topologySpreadConstraints=[]`, deployment, "spec.template.spec.topologySpreadConstraints", nil},
		"Priority":   {`speaker.priorityClassName=""`, daemonSet, "spec.template.spec.priorityClassName", nil},
		"Resources":  {`controller.resources={"limits":{"memory":"1Gi"}}`, deployment, "spec.template.spec.containers.0.resources.limits.memory", "1Gi"},
		"Pods": {`speaker={"podLabels":{"a":"b"},"podAnnotations":{"c":"d"}}`, daemonSet, "spec.template.metadata", map[string]any{
			"labels":      map[string]any{"app.kubernetes.io/name": "fairlead", "app.kubernetes.io/component": "speaker", "app.kubernetes.io/part-of": "fairlead", "a": "b"},
			"annotations": map[string]any{"c": "d"},
		}},
		"Update":      {`speaker.updateStrategy={"type":"OnDelete"}`, daemonSet, "spec.updateStrategy.type", "OnDelete"},
		"Account":     {`speaker.serviceAccount={"name":"other","annotations":{"a":"b"}}`, "ServiceAccount fairlead-system other", "metadata.annotations.a", "b"},
		"Bound":       {`speaker.serviceAccount.name="other"`, "ClusterRoleBinding  fairlead-speaker", "subjects.0.name", "other"},
		"Keep":        {`crds.keep=true`, crd, "metadata.annotations.helm~sh/resource-policy", "keep"},
		"NoKeep":      {`crds.keep=false`, crd, "metadata.annotations.helm~sh/resource-policy", nil},
		"Aggregate":   {`rbac.aggregate=false`, "ClusterRole  fairlead-viewer", "metadata.labels.rbac~authorization~k8s~io/aggregate-to-view", nil},
		"Interval":    {`prometheus.podMonitor={"enabled":true,"interval":"15s","labels":{"release":"p"}}`, "PodMonitor fairlead-system fairlead-speaker", "spec.podMetricsEndpoints.0.interval", "15s"},
		"Alerts":      {`prometheus.rules={"enabled":true,"labels":{"release":"p"}}`, "PrometheusRule fairlead-system fairlead", "metadata.labels.release", "p"},
		"Certificate": {`prometheus.certificateSecret="metrics-tls"`, daemonSet, "spec.template.spec.volumes.0.secret.secretName", "metrics-tls"},
		"ServedBy":    {`prometheus.certificateSecret="metrics-tls"`, deployment, "spec.template.spec.containers.0.args", []any{"--log-level=info", "--metrics-cert-dir=/certificates"}},
		"Mounted":     {`prometheus.certificateSecret="metrics-tls"`, deployment, "spec.template.spec.containers.0.volumeMounts.0.mountPath", "/certificates"},
		"Protected":   {`protect={"enabled":true}`, "ValidatingAdmissionPolicy  fairlead-speaker-own", "spec.matchConditions.0.expression", "request.userInfo.username == 'system:serviceaccount:fairlead-system:speaker'"},
		"Extra":       {`extraObjects=[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{ .Release.Name }}-x"}}]`, "ConfigMap  fairlead-x", "kind", "ConfigMap"},
	} {
		t.Run(name, func(t *testing.T) {
			o := template(t, tc.set)[tc.object]
			if o == nil {
				t.Fatalf("there is no %s", tc.object)
			}
			if diff := cmp.Diff(tc.want, at(o.Object, tc.path)); diff != "" {
				t.Errorf("%s with %s (-want +got):\n%s", tc.path, tc.set, diff)
			}
		})
	}
}

// TestLeftOut: what can be left out.
func TestLeftOut(t *testing.T) {
	for set, key := range map[string]string{
		"crds.enabled=false":                           crd,
		"rbac.create=false":                            "ClusterRole  fairlead-speaker",
		"controller.podDisruptionBudget.enabled=false": "PodDisruptionBudget fairlead-system controller",
		"speaker.serviceAccount.create=false":          "ServiceAccount fairlead-system speaker",
	} {
		if template(t)[key] == nil {
			t.Errorf("%s is not there by default", key)
		}
		if template(t, set)[key] != nil {
			t.Errorf("%s is there with %s", key, set)
		}
	}
}

// TestSchema: values that nobody reads, or that cannot be right, are refused.
func TestSchema(t *testing.T) {
	for _, set := range []string{
		`nonsense=1`, `speaker.nonsense=1`, `controller.replicas=0`, `controller.replicas="two"`, `image.pullPolicy="never"`, `logLevel="loud"`,
		`speaker.extraArgs=["restart-grace=5m"]`, `controller.image.digest="md5:1"`,
	} {
		_, err := run(t, "helm", "template", "fairlead", "chart", "--kube-version", "1.36.0", "--set-json", set)
		if err == nil || !strings.Contains(err.Error(), "values don't meet the specifications of the schema") {
			t.Errorf("%s: %v", set, err)
		}
	}
}

// TestLint: helm has nothing to say against the chart.
func TestLint(t *testing.T) {
	if _, err := run(t, "helm", "lint", "--strict", "--kube-version", "1.36.0", "chart"); err != nil {
		t.Error(err)
	}
}
