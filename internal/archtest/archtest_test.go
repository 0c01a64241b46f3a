package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestArchitecture judges the packages of this module as they are.
func TestArchitecture(t *testing.T) {
	packages := load(t)
	if len(packages) < 10 {
		t.Fatalf("only %d packages were found", len(packages))
	}
	for _, fault := range Check(Module, Table, packages) {
		t.Error(fault)
	}
}

// TestTable: no package has two rules, and no rule grants a package that has none.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Table {
		if seen[r.Package] {
			t.Errorf("%s has two rules", r.Package)
		}
		seen[r.Package] = true
	}
	c := checker{module: Module, table: Table}
	for _, r := range Table {
		for _, o := range r.Ours {
			if o != "..." && c.rule(o) == nil {
				t.Errorf("%s may import %s, which is not in the table", r.Package, o)
			}
		}
	}
}

// TestCheck: every kind of fault is found in a module that is made up, and
// nothing else is.
func TestCheck(t *testing.T) {
	table := []Rule{
		{Package: "pure", Never: []string{"k8s.io", "sync"}},
		{Package: "shell", Ours: []string{"pure"}, Only: []string{"k8s.io/api"}},
		{Package: "lab/...", Ours: []string{"..."}},
		{Package: "lab/strict"},
	}
	file := []string{"x.go"}
	cases := map[string]struct {
		reason string
		pkg    Package
		want   []string
	}{
		"Allowed": {
			reason: "what the table allows is no fault, nor is a test of a forbidden import",
			pkg: Package{
				Path: "m.io/m/shell", Name: "shell", Doc: "x", Files: file,
				Imports: []string{"m.io/m/pure", "k8s.io/api/core/v1", "sync"}, TestImports: []string{"m.io/m/lab", "net"},
			},
		},
		"Forbidden": {
			reason: "a package of ours that is not listed must not be imported",
			pkg:    Package{Path: "m.io/m/pure", Name: "pure", Doc: "x", Files: file, Imports: []string{"m.io/m/shell"}},
			want:   []string{"pure: may not import shell"},
		},
		"Never": {
			reason: "a package of others is forbidden with all below it, but not one that begins alike",
			pkg: Package{
				Path: "m.io/m/pure", Name: "pure", Doc: "x", Files: file,
				Imports: []string{"k8s.io/api/core/v1", "sync/atomic", "k8s.io.example/x", "synctest"},
			},
			want: []string{"pure: may never import k8s.io/api/core/v1", "pure: may never import sync/atomic"},
		},
		"Only": {
			reason: "where the others are listed, no other may be imported",
			pkg:    Package{Path: "m.io/m/shell", Name: "shell", Doc: "x", Files: file, Imports: []string{"k8s.io/client-go/rest"}},
			want:   []string{"shell: may import only k8s.io/api beyond the standard library, not k8s.io/client-go/rest"},
		},
		"Unlisted": {
			reason: "a package without a rule is a fault",
			pkg:    Package{Path: "m.io/m/fresh", Name: "fresh", Doc: "x", Files: file},
			want:   []string{"fresh: is not in the table"},
		},
		"UnlistedImport": {
			reason: "so is the import of one, by a free package and by a test too",
			pkg: Package{
				Path: "m.io/m/lab", Name: "lab", Doc: "x", Files: file,
				Imports: []string{"m.io/m/fresh"}, XTestImports: []string{"m.io/m/stale"},
			},
			want: []string{"lab: imports fresh, which is not in the table", "lab: its tests import stale, which is not in the table"},
		},
		"Tree": {
			reason: "a tree is free as a whole, but the rule of a package goes before that of its tree",
			pkg:    Package{Path: "m.io/m/lab/strict", Name: "strict", Doc: "x", Files: file, Imports: []string{"m.io/m/pure"}},
			want:   []string{"lab/strict: may not import pure"},
		},
		"NoComment": {
			reason: "a package says what it is for",
			pkg:    Package{Path: "m.io/m/lab/a", Name: "a", Files: file},
			want:   []string{"lab/a: has no package comment"},
		},
		"TestsOnly": {
			reason: "a package of tests alone is for nothing else",
			pkg:    Package{Path: "m.io/m/lab/a", Name: "a_test"},
		},
		"Vague": {
			reason: "a name that says nothing is refused, in the path or in the clause",
			pkg:    Package{Path: "m.io/m/lab/a", Name: "utils", Doc: "x", Files: file},
			want:   []string{`lab/a: "utils" says nothing of what the package is for`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Check("m.io/m", table, []Package{tc.pkg})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nCheck(…): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// load lists the packages of this module and what they import.
func load(t *testing.T) []Package {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Doc,GoFiles,Imports,TestImports,XTestImports", Module+"/...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []Package
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p Package
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
