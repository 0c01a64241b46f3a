package docs_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/texts.txt")

// speaking are the packages whose texts reach users: by conditions, events and statuses.
var speaking = []string{
	"config", "ipam", "speaker/announce", "speaker/status", "controller/assign", "controller/conditions", "controller/outage", "controller/peerstatus",
}

// literals returns the string literals of a package's code, in their order, without those of imports, tags and logs.
func literals(t *testing.T, dir string) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec, *ast.StructType:
				return false
			case *ast.CallExpr: // errors and logs are for operators of the programs
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Errorf", "Info", "Error"}, s.Sel.Name) {
					return false
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && sentence.MatchString(text) {
					out = append(out, text)
				}
			}
			return true
		})
	}
	return out
}

// sentence is what has words.
var sentence = regexp.MustCompile(`[a-z%].* .*[a-z]`)

// TestTexts: what conditions and events say is in one file, to be read from top to bottom. -update writes it.
func TestTexts(t *testing.T) {
	var now bytes.Buffer
	for _, dir := range speaking {
		fmt.Fprintf(&now, "== %s\n", dir)
		for _, text := range literals(t, dir) {
			fmt.Fprintf(&now, "%s\n", text)
		}
		fmt.Fprintln(&now)
	}
	const file = "testdata/texts.txt"
	if *update {
		if err := os.WriteFile(file, now.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, file)), now.String()); diff != "" {
		t.Errorf("texts have changed: read them in their place, then go test ./docs -update (-was, +is):\n%s", diff)
	}
}

// TestNames: condition types, events and values of labels are in the pages that list them.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		what, file string
		name       string
		page       string
		least      int
	}{
		{"condition", "../api/v1beta1/condition_types.go", `Condition`, "usage.md", 10},
		{"event", "../controller/assign/events.go", `^event`, "usage.md", 4},
		{"event", "../speaker/status/events.go", `^event`, "usage.md", 4},
		{"event", "../speaker/status/sessions.go", `^event`, "usage.md", 2},
		{"value of the label cause", "../speaker/agent/gain.go", `^Cause`, "metrics.md", 4},
	} {
		all := constants(t, c.file, c.name)
		if len(all) < c.least {
			t.Errorf("%s has only %q", c.file, all)
		}
		page := string(read(t, c.page))
		for _, x := range all {
			if !strings.Contains(page, "`"+x+"`") && !strings.Contains(page, "### "+x) {
				t.Errorf("%s does not have the %s %s", c.page, c.what, x)
			}
		}
	}
}
