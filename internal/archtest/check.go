package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A Package is what is judged of one package.
type Package struct {
	// Path of its import, with the module.
	Path string `json:"ImportPath"`
	Name string
	// Doc is its package comment, or the beginning of it.
	Doc string
	// Files are its files that are no tests; a package of tests alone needs no comment.
	Files []string `json:"GoFiles"`
	// Imports of these files, and of the tests.
	Imports, TestImports, XTestImports []string
}

// vague are names that say nothing of what a package is for.
var vague = []string{"base", "common", "constants", "helper", "helpers", "misc", "shared", "types", "util", "utils"}

// Check judges packages by a table, and returns what is wrong, sorted.
func Check(module string, table []Rule, packages []Package) []string {
	c := checker{module: module, table: table}
	for i := range packages {
		c.pkg(&packages[i])
	}
	slices.Sort(c.faults)
	return c.faults
}

type checker struct {
	module string
	table  []Rule
	faults []string
}

func (c *checker) faultf(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *checker) pkg(p *Package) {
	name, _ := c.ours(p.Path)
	for _, n := range []string{path.Base(p.Path), strings.TrimSuffix(p.Name, "_test")} {
		if slices.Contains(vague, n) {
			c.faultf("%s: %q says nothing of what the package is for", name, n)
			break
		}
	}
	if len(p.Files) > 0 && p.Doc == "" {
		c.faultf("%s: has no package comment", name)
	}
	rule := c.rule(name)
	if rule == nil {
		c.faultf("%s: is not in the table", name)
		return
	}
	for _, i := range p.Imports {
		c.imports(name, rule, i)
	}
	for _, i := range slices.Concat(p.TestImports, p.XTestImports) {
		if other, ours := c.ours(i); ours && c.rule(other) == nil {
			c.faultf("%s: its tests import %s, which is not in the table", name, other)
		}
	}
}

func (c *checker) imports(name string, rule *Rule, imported string) {
	if other, ours := c.ours(imported); ours {
		if c.rule(other) == nil {
			c.faultf("%s: imports %s, which is not in the table", name, other)
		}
		if !slices.ContainsFunc(rule.Ours, func(pattern string) bool { return matches(pattern, other) }) {
			c.faultf("%s: may not import %s", name, other)
		}
		return
	}
	switch {
	case anyAbove(rule.Never, imported):
		c.faultf("%s: may never import %s", name, imported)
	case rule.Only != nil && !standard(imported) && !anyAbove(rule.Only, imported):
		c.faultf("%s: may import only %s beyond the standard library, not %s", name, strings.Join(rule.Only, ", "), imported)
	}
}

// ours returns an import path relative to the module, and whether it is of the module.
func (c *checker) ours(importPath string) (string, bool) {
	rest, ok := strings.CutPrefix(importPath, c.module+"/")
	if !ok {
		return importPath, false
	}
	return rest, true
}

// rule returns the rule of a package: the longest pattern that matches.
func (c *checker) rule(name string) *Rule {
	var best *Rule
	for i := range c.table {
		if r := &c.table[i]; matches(r.Package, name) && (best == nil || len(r.Package) > len(best.Package)) {
			best = r
		}
	}
	return best
}

func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if root, tree := strings.CutSuffix(pattern, "/..."); tree {
		return above(root, name)
	}
	return pattern == name
}

func anyAbove(roots []string, name string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return above(root, name) })
}

// above reports whether name is root or below it.
func above(root, name string) bool {
	return name == root || strings.HasPrefix(name, root+"/")
}

// standard reports whether a package is of the standard library: those have no domain.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
