//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead-lb/fairlead/internal/image"
)

// The images that every node has.
const (
	PauseImage = "fairlead.io/lab/pause:latest"
	// WebImage is an HTTP server on port 8080 that says which pod answers; see images/web.
	WebImage = "fairlead.io/lab/web:latest"
)

// buildImages makes the archive of the lab's own images. It is quick, and Go's build cache makes it quicker.
func buildImages(ctx context.Context, source, archive string) error {
	temp, err := os.MkdirTemp(filepath.Dir(archive), "images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", temp+"/", "./images/pause", "./images/web")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build images: %w\n%s", err, lastLines(string(out), 10))
	}
	const nobody = "65532:65532"
	return image.Write(archive,
		image.Image{Name: PauseImage, Program: filepath.Join(temp, "pause"), Arch: runtime.GOARCH, User: nobody},
		image.Image{Name: WebImage, Program: filepath.Join(temp, "web"), Arch: runtime.GOARCH, User: nobody})
}

// LoadImage imports an image archive on every node, as users would.
func (l *Lab) LoadImage(ctx context.Context, archive string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, node := range l.Nodes() {
		g.Go(func() error { return l.importImages(ctx, node, archive) })
	}
	return g.Wait()
}

func (l *Lab) importImages(ctx context.Context, node, archive string) error {
	cmd := exec.CommandContext(ctx, "ctr", "--address", l.paths.containerd(node), "--namespace", "k8s.io", "images", "import", archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s on %s: %w\n%s", archive, node, err, lastLines(string(out), 5))
	}
	return nil
}
