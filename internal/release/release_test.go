package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func unpack(t *testing.T, text []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(data)
	}
}

// TestArchive: the same files give the same bytes, in whatever order.
func TestArchive(t *testing.T) {
	a, b := file{"a", 0o755, []byte("1")}, file{"b", 0o644, []byte("2")}
	one, err := archive([]file{a, b})
	if err != nil {
		t.Fatal(err)
	}
	two, err := archive([]file{b, a})
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("they differ (%v)", err)
	}
	if got := unpack(t, one); got["a"] != "1" || got["b"] != "2" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// TestChart: the chart of a release has its version and the digests of its images, and all that the chart reads.
func TestChart(t *testing.T) {
	digests := map[string]string{"controller": "sha256:" + strings.Repeat("c", 64), "speaker": "sha256:" + strings.Repeat("5", 64)}
	r := release{version: "v0.1.0", registry: "registry.example", checkout: "../..", dir: t.TempDir(), digests: digests}
	if err := r.chart(context.Background()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.path("fairlead-chart-0.1.0.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, text)
	for name, wants := range map[string][]string{
		"fairlead/Chart.yaml":                                {"\nversion: 0.1.0\n", "\nappVersion: v0.1.0\n"},
		"fairlead/values.yaml":                               {"registry: registry.example\n", `digest: "` + digests["controller"], `digest: "` + digests["speaker"]},
		"fairlead/values.schema.json":                        {"draft-07"},
		"fairlead/templates/speaker.yaml":                    {"kind: DaemonSet"},
		"fairlead/files/crd/fairlead.io_ipaddresspools.yaml": {"kind: CustomResourceDefinition"},
		"fairlead/files/protect/pools.yaml":                  {"kind: ValidatingAdmissionPolicy"},
		"fairlead/files/base/speaker-rbac.yaml":              {"kind: ClusterRole"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[name], want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
	}
	values := files["fairlead/values.yaml"]
	if c, s := strings.Index(values, digests["controller"]), strings.Index(values, digests["speaker"]); c > s {
		t.Error("the digests are of the wrong programs")
	}
}

// TestNotes: those of the version, or of what is unreleased.
func TestNotes(t *testing.T) {
	const text = "# Changelog\n\n## Unreleased\n\n- new\n\n## v0.1.0 (2026-12-01)\n\n- old\n"
	for heading, want := range map[string]string{"v0.1.0": "- old", "Unreleased": "- new", "v9": ""} {
		if got := strings.TrimSpace(section(text, heading)); got != want {
			t.Errorf("%s: %q, want %q", heading, got, want)
		}
	}
	r := release{version: "v99.0.0", checkout: "../..", dir: t.TempDir()}
	if err := r.notes(context.Background()); err != nil {
		t.Fatal(err)
	}
	notes, err := os.ReadFile(r.path("RELEASE-NOTES.md"))
	if err != nil || !strings.HasPrefix(string(notes), "# Fairlead v99.0.0\n\n- [") {
		t.Errorf("%v: %.80q", err, notes)
	}
}

// TestSBOM: it names the modules that a program is made of, here this test.
func TestSBOM(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := release{version: "v0.1.0"}
	to := filepath.Join(t.TempDir(), "x.spdx.json")
	if err := r.sbom(program, to); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	var doc spdx
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stdlib", "github.com/google/go-containerregistry"} {
		if !slices.ContainsFunc(doc.Packages, func(p spdxPackage) bool { return p.Name == name && p.Version != "" }) {
			t.Errorf("%s is not there", name)
		}
	}
	if len(doc.Relationship) != len(doc.Packages) {
		t.Errorf("%d packages, %d relationships", len(doc.Packages), len(doc.Relationship))
	}
}

// TestVersion: what is no version makes nothing.
func TestVersion(t *testing.T) {
	for version, good := range map[string]bool{"v0.1.0": true, "v1.2.3-rc.1": true, "0.1.0": false, "v1": false, "dev": false, "": false, "v01.0.0": false} {
		if semver.MatchString(version) != good {
			t.Errorf("%q: want %v", version, good)
		}
	}
	dir := filepath.Join(t.TempDir(), "out")
	r := release{version: "dev", dir: dir}
	if err := r.make(context.Background()); !errors.Is(err, errVersion) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("there is a folder all the same")
	}
}
