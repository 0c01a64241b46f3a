// Package image makes container images of one static program on an empty base,
// without a container engine or a registry: a docker-archive that
// `ctr images import`, `docker load` and `podman load` read. The same program gives the
// same bytes: nothing in an image tells when or where it was made.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// An Image is one program and how it is run.
type Image struct {
	// Name of the image, with a tag.
	Name string
	// Program is the path of a static binary. It becomes /<its base name>, the entrypoint.
	Program string
	// Arch is the architecture that the program was built for, as in GOARCH.
	Arch string
	// User is the uid:gid that the program runs as unless the pod says otherwise.
	User string
	// Labels are in the image's configuration.
	Labels map[string]string
}

// Write writes an archive of images.
func Write(path string, images ...Image) error {
	all := map[name.Tag]v1.Image{}
	for _, i := range images {
		tag, err := name.NewTag(i.Name)
		if err != nil {
			return fmt.Errorf("name %q: %w", i.Name, err)
		}
		if all[tag], err = i.build(types.DockerLayer); err != nil {
			return fmt.Errorf("make image %s: %w", i.Name, err)
		}
	}
	return tarball.MultiWriteToFile(path, all)
}

// build makes the image, with its layer as a media type.
func (i Image) build(as types.MediaType) (v1.Image, error) {
	program, err := os.ReadFile(i.Program)
	if err != nil {
		return nil, err
	}
	entrypoint := "/" + filepath.Base(i.Program)
	layer, err := layer(entrypoint, program, as)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.OS, config.Architecture = "linux", i.Arch
	config.Config = v1.Config{Entrypoint: []string{entrypoint}, User: i.User, Labels: i.Labels}
	return mutate.ConfigFile(img, config)
}

// layer holds one file, without times or owners.
func layer(path string, data []byte, as types.MediaType) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: path[1:], Mode: 0o755, Size: int64(len(data))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	}, tarball.WithMediaType(as))
}
