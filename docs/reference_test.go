// Package docs_test keeps the documentation true: its manifests are read as the
// programs would read them, and its tables must have what the code has.
package docs_test

import (
	"bufio"
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/metrics"
)

// TestReference: the reference is valid, and nothing is wrong with its objects.
func TestReference(t *testing.T) {
	var o config.Objects
	for _, doc := range split(t, "reference.yaml", read(t, "reference.yaml")) {
		switch object := decode(t, "reference.yaml", doc).(type) {
		case *v1beta1.IPAddressPool:
			o.Pools = append(o.Pools, *object)
		case *v1beta1.L2Advertisement:
			o.L2Advertisements = append(o.L2Advertisements, *object)
		case *v1beta1.BGPPeer:
			o.BGPPeers = append(o.BGPPeers, *object)
		case *v1beta1.BGPAdvertisement:
			o.BGPAdvertisements = append(o.BGPAdvertisements, *object)
		case *v1beta1.BFDProfile:
			o.BFDProfiles = append(o.BFDProfiles, *object)
		case *v1beta1.Community:
			o.Communities = append(o.Communities, *object)
		case *v1beta1.IPClaim: // has no part in the configuration
		default:
			t.Errorf("unexpected %T", object)
		}
	}
	if len(o.Pools) == 0 || len(o.L2Advertisements) == 0 {
		t.Fatal("the reference lacks a kind")
	}
	_, problems := config.Build(o)
	for _, p := range problems {
		t.Error(p)
	}
}

// TestReferenceIsComplete: every field that an operator may write is in the reference.
func TestReferenceIsComplete(t *testing.T) {
	specs := map[string]reflect.Type{
		"BFDProfile":       reflect.TypeFor[v1beta1.BFDProfileSpec](),
		"BGPAdvertisement": reflect.TypeFor[v1beta1.BGPAdvertisementSpec](),
		"BGPPeer":          reflect.TypeFor[v1beta1.BGPPeerSpec](),
		"Community":        reflect.TypeFor[v1beta1.CommunitySpec](),
		"IPAddressPool":    reflect.TypeFor[v1beta1.IPAddressPoolSpec](),
		"IPClaim":          reflect.TypeFor[v1beta1.IPClaimSpec](),
		"L2Advertisement":  reflect.TypeFor[v1beta1.L2AdvertisementSpec](),
	}
	written := map[string]bool{}
	for _, doc := range split(t, "reference.yaml", read(t, "reference.yaml")) {
		var object struct {
			Kind string         `json:"kind"`
			Spec map[string]any `json:"spec"`
		}
		if err := yaml.Unmarshal(doc, &object); err != nil {
			t.Fatal(err)
		}
		note(written, object.Kind+".spec", object.Spec)
	}
	for kind, spec := range specs {
		for _, field := range fields(kind+".spec", spec) {
			if !written[field] {
				t.Errorf("reference.yaml does not have %s", field)
			}
		}
	}
}

// note adds the paths of all fields in a value that was read from YAML.
func note(written map[string]bool, at string, v any) {
	written[at] = true
	switch v := v.(type) {
	case map[string]any:
		for k, below := range v {
			note(written, at+"."+k, below)
		}
	case []any:
		for _, below := range v {
			note(written, at, below)
		}
	}
}

// fields returns the paths of all fields of a type of ours. A label selector, which is as
// Kubernetes has it, is one field.
func fields(at string, t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[v1beta1.LabelSelector]() || t == reflect.TypeFor[metav1.Duration]() {
		return nil
	}
	var out []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path := at + "." + name
		out = append(append(out, path), fields(path, f.Type)...)
	}
	return out
}

// TestExamples: every manifest in the pages can be applied as it stands.
func TestExamples(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	found := 0
	for _, page := range pages(t) {
		for _, m := range block.FindAllStringSubmatch(string(read(t, page)), -1) {
			for _, doc := range split(t, page, []byte(m[1])) {
				if bytes.Contains(doc, []byte("apiVersion:")) && !bytes.Contains(doc, []byte("kind: Kustomization")) {
					decode(t, page, doc)
					found++
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d manifests in the pages: are they still marked yaml?", found)
	}
}

// TestReasons: the pages tell of every reason that a condition may have.
func TestReasons(t *testing.T) {
	usage := string(read(t, "usage.md"))
	for file, typ := range map[string]string{
		"../ipam/request.go":            "^Reason$",
		"../speaker/announce/reason.go": "^Reason$",
		"../config/problem.go":          "^Reason$",
		"../internal/kube/conflict.go":  "^reason$",
	} {
		all := constants(t, file, typ)
		if len(all) < 2 {
			t.Errorf("%s: found the reasons %q only", file, all)
		}
		for _, reason := range all {
			if !strings.Contains(usage, "| `"+reason+"` |") {
				t.Errorf("usage.md has no row for reason %s of %s", reason, file)
			}
		}
	}
}

// TestAnnotations: the pages tell of every annotation that is read or written.
func TestAnnotations(t *testing.T) {
	page := string(read(t, "annotations.md"))
	source := string(read(t, "../internal/kube/annotations.go"))
	keys := regexp.MustCompile(`"([a-z0-9.-]+\.[a-z]+/[A-Za-z-]+)"`).FindAllStringSubmatch(source, -1)
	if len(keys) < 10 {
		t.Errorf("found %d annotations only", len(keys))
	}
	for _, k := range keys {
		if !strings.Contains(page, "`"+k[1]+"`") {
			t.Errorf("annotations.md does not have %s", k[1])
		}
	}
}

// TestFlags: the pages tell of every flag of both programs, and of no other.
func TestFlags(t *testing.T) {
	page := string(read(t, "operations.md"))
	known := map[string]bool{}
	for _, file := range []string{"../controller/options.go", "../speaker/options.go"} {
		flags := regexp.MustCompile(`f\.(?:\w+Var\(&[\w.]+, |Func\()"([a-z-]+)"`).FindAllStringSubmatch(string(read(t, file)), -1)
		if len(flags) < 4 {
			t.Errorf("%s: found %d flags only", file, len(flags))
		}
		for _, f := range append(flags, []string{"", "version"}) {
			known[f[1]] = true
			if !strings.Contains(page, "| `--"+f[1]+"` |") {
				t.Errorf("operations.md has no row for flag --%s of %s", f[1], file)
			}
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\|").FindAllStringSubmatch(page, -1) {
		if !known[row[1]] {
			t.Errorf("operations.md has a flag --%s that neither program has", row[1])
		}
	}
}

// TestNotice: the licence of every module that is required is told.
func TestNotice(t *testing.T) {
	notice := string(read(t, "../NOTICE"))
	for line := range strings.Lines(string(read(t, "../go.mod"))) {
		module, _, required := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "require "), " v")
		if required && !strings.Contains(line, "// indirect") && !strings.Contains(notice, "\n"+module+" ") {
			t.Errorf("NOTICE does not have %s", module)
		}
	}
}

// TestLinks: what a page points to is there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(string(read(t, page)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

func pages(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "adr/*.md", "../*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// split returns the documents of a YAML stream.
func split(t *testing.T, name string, stream []byte) [][]byte {
	t.Helper()
	var out [][]byte
	for r := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream))); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, doc)
	}
}

// decode reads one document as its kind. A field that the kind does not have is
// an error, as is one that is given twice.
func decode(t *testing.T, name string, doc []byte) runtime.Object {
	t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	object, _, err := strict.Decode(doc, nil, nil)
	if err != nil {
		t.Fatalf("%s: %v in\n%s", name, err, doc)
	}
	return object
}

// constants returns the values of those constants in a file of which the type or the name is matched.
func constants(t *testing.T, file, pattern string) []string {
	t.Helper()
	matched := regexp.MustCompile(pattern)
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); (!ok || !matched.MatchString(id.Name)) && !matched.MatchString(spec.Names[0].Name) {
			return true
		}
		for _, v := range spec.Values {
			if lit, ok := v.(*ast.BasicLit); ok {
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, s)
			}
		}
		return true
	})
	return out
}

// registered returns the names of all metrics that the programs have.
func registered(t *testing.T) []string {
	t.Helper()
	r := &recorder{}
	metrics.NewBuild(r, "", "", "")
	metrics.NewAPI(r)
	metrics.NewEvents(r, nil)
	metrics.NewController(r, nil)
	metrics.NewAssignments(r)
	metrics.NewOutages(r)
	metrics.NewSpeaker(r, true, nil)
	metrics.NewGains(r)
	metrics.NewBGP(r, nil)
	if len(r.names) < 40 {
		t.Fatalf("only %d metrics", len(r.names))
	}
	return r.names
}

// A recorder notes the names of what is registered.
type recorder struct {
	prometheus.Registerer
	names []string
}

func (r *recorder) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		out := make(chan *prometheus.Desc, 100)
		c.Describe(out)
		close(out)
		for d := range out {
			r.names = append(r.names, regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1])
		}
	}
}

var metricName = regexp.MustCompile(`\bfairlead_[a-z0-9_]+`)

// TestMetrics: the page has the metrics that there are, and alerts, the dashboard and the other pages know no others.
func TestMetrics(t *testing.T) {
	names := registered(t)
	page := string(read(t, "metrics.md"))
	for _, name := range names {
		if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`"+name+"{") {
			t.Errorf("metrics.md does not have %s", name)
		}
	}
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(pages, "../manifests/components/prometheus/rules.yaml", "../manifests/components/prometheus/dashboard.json") {
		for _, name := range metricName.FindAllString(string(read(t, file)), -1) {
			name = strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
			if !slices.Contains(names, name) {
				t.Errorf("%s knows %s, which there is not", file, name)
			}
		}
	}
}

// TestRunbooks: each alert has a section, which begins with the command to run.
func TestRunbooks(t *testing.T) {
	rules, page := string(read(t, "../manifests/components/prometheus/rules.yaml")), string(read(t, "alerts.md"))
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 11 {
		t.Fatalf("only %d alerts", len(alerts))
	}
	for _, a := range alerts {
		_, section, ok := strings.Cut(page, "\n## "+a[1]+"\n\n")
		if !ok || !strings.HasPrefix(section, "    kubectl ") {
			t.Errorf("alerts.md has no section %s that begins with a command", a[1])
		}
		if !strings.Contains(rules, "docs/alerts.md#"+strings.ToLower(a[1])+"\n") {
			t.Errorf("%s has no runbook_url", a[1])
		}
	}
	if sections := strings.Count(page, "\n## "); sections != len(alerts) {
		t.Errorf("alerts.md has %d sections for %d alerts", sections, len(alerts))
	}
}
