//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
)

// buildBinaries builds beside dir and then renames, so that dir is complete if it is there.
func buildBinaries(ctx context.Context, o Options, source, dir string) error {
	o.logf("Building Kubernetes %s and etcd: the first time about ten minutes on two cores, seconds if Go's build cache is warm.", o.Kubernetes)
	started := time.Now()
	if err := removeUnfinished(filepath.Dir(dir)); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	module := kubernetesModules[o.Kubernetes]
	version, err := goCommand(ctx, filepath.Join(source, module), "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	for _, r := range recipes(module, version) {
		if err := r.build(ctx, o, source, temp); err != nil {
			return fmt.Errorf("build %s: %w", r.module, err)
		}
	}
	// Go names a program after its package.
	if err := os.Rename(filepath.Join(temp, "server"), filepath.Join(temp, "etcd")); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	o.logf("Built them in %s, to %s.", time.Since(started).Round(time.Second), dir)
	return os.Rename(temp, dir)
}

// removeUnfinished removes what a killed build left. The caller holds the cache's lock.
func removeUnfinished(cache string) error {
	left, err := filepath.Glob(filepath.Join(cache, "build-*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// build runs go build, which names each package that it compiles.
func (r recipe) build(ctx context.Context, o Options, source, out string) error {
	args := append([]string{"build", "-v", "-trimpath", "-ldflags", r.ldflags, "-o", out + "/"}, r.packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(source, r.module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=") // those of this module may not suit
	// An interrupted go command waits for its compilers, whose output it would otherwise leave half-written.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	said := r.follow(o, stderr)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

// follow reports progress until the output ends, and returns its last lines.
func (r recipe) follow(o Options, output io.Reader) string {
	var compiled atomic.Int64
	started, tick, done := time.Now(), time.NewTicker(15*time.Second), make(chan struct{})
	defer tick.Stop()
	var tail string
	go func() {
		defer close(done)
		for scanner := bufio.NewScanner(output); scanner.Scan(); compiled.Add(1) {
			tail = lastLines(tail+"\n"+scanner.Text(), 15)
		}
	}()
	for {
		select {
		case <-done:
			return tail
		case <-tick.C:
			o.logf("  %s: %d packages compiled in %s, of about 2000 at most", r.module, compiled.Load(), time.Since(started).Round(time.Second))
		}
	}
}
