package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/fairlead-lb/fairlead/internal/image"
)

// build builds a program, and returns its path. The same source gives the same bytes, wherever it lies.
func (r *release) build(ctx context.Context, pkg, name, system, arch string) (string, error) {
	out := filepath.Join(r.work, system+"-"+arch, name)
	const vars = "github.com/fairlead-lb/fairlead/internal/version"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", out,
		"-ldflags", fmt.Sprintf("-s -w -buildid= -X %s.number=%s -X %s.commit=%s", vars, r.version, vars, r.commit), pkg)
	cmd.Dir = r.checkout
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s for %s/%s: %w\n%s", pkg, system, arch, err, text)
	}
	return out, nil
}

// images makes an OCI layout for all architectures, and an archive for docker load of each.
func (r *release) images(ctx context.Context) error {
	for _, p := range programs {
		var all []image.Image
		for _, arch := range archs {
			path, err := r.build(ctx, "./"+p.name, "fairlead-"+p.name, "linux", arch)
			if err != nil {
				return err
			}
			i := image.Image{
				Name: fmt.Sprintf("%s/%s:%s", r.registry, p.name, r.version), Program: path, Arch: arch, User: p.user,
				Labels: map[string]string{
					"org.opencontainers.image.title":    "fairlead-" + p.name,
					"org.opencontainers.image.version":  r.version,
					"org.opencontainers.image.revision": r.commit,
					"org.opencontainers.image.source":   "https://github.com/fairlead-lb/fairlead",
					"org.opencontainers.image.licenses": "Apache-2.0",
				},
			}
			if err := image.Write(r.path("%s-%s-%s.tar", p.name, r.version, arch), i); err != nil {
				return err
			}
			if err := r.sbom(path, r.path("%s-%s-%s.spdx.json", p.name, r.version, arch)); err != nil {
				return err
			}
			all = append(all, i)
		}
		digest, err := image.WriteOCI(r.path("%s-%s.oci.tar", p.name, r.version), all...)
		if err != nil {
			return err
		}
		r.digests[p.name] = digest
	}
	return nil
}
