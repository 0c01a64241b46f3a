package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/image"
)

// manifest renders manifests/default with the images of the release, pinned by digest.
func (r *release) manifest(ctx context.Context) (err error) {
	dir := filepath.Join(r.checkout, "build")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	overlay, err := os.MkdirTemp(dir, "overlay-") // kustomize reads nothing by an absolute path
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(overlay)) }()
	var text strings.Builder
	text.WriteString("resources: [../../manifests/default]\nimages:\n")
	for _, p := range programs {
		fmt.Fprintf(&text, "- name: ghcr.io/fairlead-lb/%s\n  newName: %s/%s\n  newTag: %s\n  digest: %s\n",
			p.name, r.registry, p.name, r.version, r.digests[p.name])
	}
	text.WriteString("labels:\n- includeTemplates: false\n  pairs: {app.kubernetes.io/version: " + r.version + "}\n")
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text.String()), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=go.tools.mod", "kustomize", "build", overlay)
	cmd.Dir, cmd.Stderr = r.checkout, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("kustomize: %w", err)
	}
	return os.WriteFile(r.path("fairlead-%s.yaml", r.version), out, 0o644)
}

// A file of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

// archive packs files: sorted, and without times or owners, so that the same files give the same bytes.
func archive(files []file) ([]byte, error) {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// chart packs the chart, with the version of the release and the digests of its images, as helm does and as an artefact of OCI.
func (r *release) chart(context.Context) error {
	root := filepath.Join(r.checkout, "manifests/chart")
	var files []file
	// The folders of files in it are links, which are followed.
	for _, dir := range []string{".", "files/crd", "files/base", "files/protect"} {
		below := os.DirFS(filepath.Join(root, dir))
		err := fs.WalkDir(below, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := fs.ReadFile(below, name)
			name = path.Join(dir, name)
			files = append(files, file{"fairlead/" + name, 0o644, r.chartFile(name, data)})
			return err
		})
		if err != nil {
			return err
		}
	}
	packed, err := archive(files)
	if err != nil {
		return err
	}
	number := strings.TrimPrefix(r.version, "v")
	if err := os.WriteFile(r.path("fairlead-chart-%s.tgz", number), packed, 0o644); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]string{"name": "fairlead", "version": number, "appVersion": r.version, "apiVersion": "v2", "type": "application"})
	if err != nil {
		return err
	}
	return image.WriteChart(r.path("fairlead-chart-%s.oci.tar", number), number, config, packed)
}

// chartFile puts the version and the digests into a file of the chart.
func (r *release) chartFile(name string, data []byte) []byte {
	text := string(data)
	switch name {
	case "Chart.yaml":
		text = strings.Replace(text, "version: 0.0.0-dev", "version: "+strings.TrimPrefix(r.version, "v"), 1)
		text = strings.Replace(text, "appVersion: dev", "appVersion: "+r.version, 1)
	case "values.yaml":
		text = strings.Replace(text, "registry: ghcr.io/fairlead-lb", "registry: "+r.registry, 1)
		for _, p := range programs { // in the order of the file
			text = strings.Replace(text, `digest: ""`, `digest: "`+r.digests[p.name]+`"`, 1)
		}
	}
	return []byte(text)
}

// plugin packs kubectl-fairlead for all platforms, with a manifest for krew.
func (r *release) plugin(ctx context.Context) error {
	licence, err := os.ReadFile(filepath.Join(r.checkout, "LICENSE"))
	if err != nil {
		return err
	}
	var krew strings.Builder
	fmt.Fprintf(&krew, `apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: fairlead
spec:
  version: %s
  homepage: https://github.com/fairlead-lb/fairlead
  shortDescription: Say what Fairlead does, and why
  description: |
    Says which Service has which external address, who announces it, and why
    not; checks manifests before they are applied; and comes over from MetalLB.
  platforms:
`, r.version)
	for _, p := range platforms {
		built, err := r.build(ctx, "./internal/cli/kubectl-fairlead", "kubectl-fairlead", p[0], p[1])
		if err != nil {
			return err
		}
		program, err := os.ReadFile(built)
		if err != nil {
			return err
		}
		packed, err := archive([]file{{"kubectl-fairlead", 0o755, program}, {"LICENSE", 0o644, licence}})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("kubectl-fairlead-%s-%s-%s.tar.gz", r.version, p[0], p[1])
		if err := os.WriteFile(r.path("%s", name), packed, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&krew, `  - selector:
      matchLabels: {os: %s, arch: %s}
    uri: https://github.com/fairlead-lb/fairlead/releases/download/%s/%s
    sha256: %s
    bin: kubectl-fairlead
`, p[0], p[1], r.version, name, sum(packed))
	}
	return os.WriteFile(r.path("fairlead.krew.yaml"), []byte(krew.String()), 0o644)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// notes are the part of the CHANGELOG about this version; about what is unreleased, if it is not there.
func (r *release) notes(context.Context) error {
	text, err := os.ReadFile(filepath.Join(r.checkout, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	notes := section(string(text), r.version)
	if notes == "" {
		notes = section(string(text), "Unreleased")
	}
	return os.WriteFile(r.path("RELEASE-NOTES.md"), []byte("# Fairlead "+r.version+"\n\n"+strings.TrimSpace(notes)+"\n"), 0o644)
}

// section returns what is under a heading of the second level.
func section(text, heading string) string {
	var out strings.Builder
	in := false
	for line := range strings.Lines(text) {
		if title, is := strings.CutPrefix(line, "## "); is {
			in = strings.HasPrefix(strings.TrimSpace(title), heading)
			continue
		}
		if in {
			out.WriteString(line)
		}
	}
	return out.String()
}

// checksums lists the SHA-256 of all files, for sha256sum --check.
func (r *release) checksums(context.Context) error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	var out strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(r.path("%s", e.Name()))
		if err != nil {
			return err
		}
		out.WriteString(sum(data) + "  " + e.Name() + "\n")
	}
	return os.WriteFile(r.path("SHA256SUMS"), []byte(out.String()), 0o644)
}
