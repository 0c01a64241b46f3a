package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// The same program makes the same archive, one that says how to run it.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "hello")
	if err := os.WriteFile(program, []byte("\x7fELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := Image{Name: "example.com/hello:dev", Program: program, Arch: "arm64", User: "65532:65532"}
	var archives [2][]byte
	for n := range archives {
		path := filepath.Join(dir, "out.tar")
		if err := Write(path, i); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[n], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of one program differ")
	}
	img, err := tarball.ImageFromPath(filepath.Join(dir, "out.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.Architecture != "arm64" || c.OS != "linux" || len(c.Config.Entrypoint) != 1 || c.Config.Entrypoint[0] != "/hello" || c.Config.User != "65532:65532" {
		t.Errorf("config is %+v", c)
	}
	if err := Write(filepath.Join(dir, "bad.tar"), Image{Name: "Not A Name", Program: program}); err == nil {
		t.Error("a bad name was accepted")
	}
}

// TestOCI: a layout for two architectures, by the digest that is returned; the same programs give the same bytes.
func TestOCI(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "hello")
	if err := os.WriteFile(program, []byte("not really a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	of := func(arch string) Image {
		return Image{Name: "example.com/hello:v1", Program: program, Arch: arch, User: "0:0", Labels: map[string]string{"a": "b"}}
	}
	var texts [2][]byte
	var digests [2]string
	for i := range texts {
		path := filepath.Join(dir, "hello.oci.tar")
		var err error
		if digests[i], err = WriteOCI(path, of("amd64"), of("arm64")); err != nil {
			t.Fatal(err)
		}
		if texts[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(texts[0], texts[1]) || digests[0] != digests[1] {
		t.Error("two layouts of one program differ")
	}
	root := unpack(t, texts[0])
	index, err := layout.ImageIndexFromPath(root)
	if err != nil {
		t.Fatal(err)
	}
	top, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Manifests) != 1 || top.Manifests[0].Digest.String() != digests[0] || top.Manifests[0].Annotations[containerdName] != "example.com/hello:v1" {
		t.Errorf("the index is %+v, the digest %s", top.Manifests, digests[0])
	}
	images, err := index.ImageIndex(top.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(images); err != nil {
		t.Error(err)
	}
	m, err := images.IndexManifest()
	if err != nil || len(m.Manifests) != 2 || m.Manifests[1].Platform.Architecture != "arm64" {
		t.Errorf("manifests %+v, %v", m, err)
	}
	img, err := images.Image(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil || config.Config.Labels["a"] != "b" || config.Architecture != "amd64" {
		t.Errorf("config %+v, %v", config, err)
	}
}

// TestChart: an artefact with the media types that Helm knows.
func TestChart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chart.oci.tar")
	if err := WriteChart(path, "0.1.0", []byte(`{"name":"x"}`), []byte("packed")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(unpack(t, text))
	if err != nil {
		t.Fatal(err)
	}
	top, err := index.IndexManifest()
	if err != nil || len(top.Manifests) != 1 || top.Manifests[0].Annotations[refName] != "0.1.0" {
		t.Fatalf("index %+v, %v", top, err)
	}
	img, err := index.Image(top.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil || m.Config.MediaType != chartConfig || len(m.Layers) != 1 || m.Layers[0].MediaType != chartContent || m.Layers[0].Size != 6 {
		t.Errorf("manifest %+v, %v", m, err)
	}
}

// unpack unpacks an archive into a folder.
func unpack(t *testing.T, text []byte) string {
	t.Helper()
	dir := t.TempDir()
	r := tar.NewReader(bytes.NewReader(text))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s has a time: %s", h.Name, h.ModTime)
		}
		path := filepath.Join(dir, h.Name)
		data, err := io.ReadAll(r)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}
