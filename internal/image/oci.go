package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// What the annotations of an OCI layout call an image: containerd goes by the first, others by the second.
const (
	containerdName = "io.containerd.image.name"
	refName        = "org.opencontainers.image.ref.name"
)

// WriteOCI writes an OCI layout, as an archive, of one image for several architectures, and returns the digest by which a registry
// knows it.
func WriteOCI(path string, images ...Image) (digest string, err error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, i := range images {
		img, err := i.build(types.OCILayer)
		if err != nil {
			return "", fmt.Errorf("make image %s: %w", i.Name, err)
		}
		img = mutate.MediaType(mutate.ConfigMediaType(img, types.OCIConfigJSON), types.OCIManifestSchema1)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{MediaType: types.OCIManifestSchema1, Platform: &v1.Platform{OS: "linux", Architecture: i.Arch}},
		})
	}
	tag, err := name.NewTag(images[0].Name)
	if err != nil {
		return "", fmt.Errorf("name %q: %w", images[0].Name, err)
	}
	hash, err := index.Digest()
	if err != nil {
		return "", err
	}
	return hash.String(), writeLayout(path, func(to layout.Path) error {
		return to.AppendIndex(index, layout.WithAnnotations(map[string]string{containerdName: tag.Name(), refName: tag.TagStr()}))
	})
}

// The media types of a chart (Helm's HIP 6).
const (
	chartConfig  types.MediaType = "application/vnd.cncf.helm.config.v1+json"
	chartContent types.MediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// WriteChart writes a packed chart, and its metadata, as an OCI layout, as an archive.
func WriteChart(path, version string, metadata, chart []byte) error {
	return writeLayout(path, func(to layout.Path) error {
		blob := func(data []byte, as types.MediaType) (v1.Descriptor, error) {
			hash, size, err := v1.SHA256(bytes.NewReader(data))
			if err != nil {
				return v1.Descriptor{}, err
			}
			return v1.Descriptor{MediaType: as, Digest: hash, Size: size}, to.WriteBlob(hash, io.NopCloser(bytes.NewReader(data)))
		}
		config, err := blob(metadata, chartConfig)
		if err != nil {
			return err
		}
		content, err := blob(chart, chartContent)
		if err != nil {
			return err
		}
		text, err := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: []v1.Descriptor{content}})
		if err != nil {
			return err
		}
		manifest, err := blob(text, types.OCIManifestSchema1)
		if err != nil {
			return err
		}
		manifest.Annotations = map[string]string{refName: version}
		return to.AppendDescriptor(manifest)
	})
}

// writeLayout writes an OCI layout as an archive: sorted, and without times or owners.
func writeLayout(path string, fill func(layout.Path) error) (err error) {
	dir, err := os.MkdirTemp("", "fairlead-layout-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := fill(to); err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return errors.Join(err, w.Close())
}
