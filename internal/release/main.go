// Command release makes everything of a release, in one folder: images for all architectures, manifests that pin them, the chart, the
// plugin of kubectl for all platforms, what is in the programs (SBOM), notes and checksums. Two runs on one commit give the same bytes:
// nothing in a release says when or where it was made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
)

// The programs that run in the cluster, with the user of their images, and what they are built for.
var (
	programs = []struct{ name, user string }{{"controller", "65532:65532"}, {"speaker", "0:0"}}
	archs    = []string{"amd64", "arm64"}
	// platforms of the plugin.
	platforms = [][2]string{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}
)

// release is one that is being made.
type release struct {
	// version such as v0.1.0, and the commit that it is of.
	version, commit string
	// registry that the images will be in.
	registry string
	// checkout is the root of the source, dir is where the release goes, and work is for what does not.
	checkout, dir, work string
	// digests of the images, by program.
	digests map[string]string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := release{digests: map[string]string{}}
	flag.StringVar(&r.version, "version", "", "`version` of the release, such as v0.1.0")
	flag.StringVar(&r.commit, "commit", "unknown", "`hash` of the commit")
	flag.StringVar(&r.registry, "registry", "ghcr.io/fairlead-lb", "`registry` that the images will be in")
	flag.StringVar(&r.checkout, "checkout", ".", "`path` of the source")
	flag.StringVar(&r.dir, "o", "", "`path` of the folder to make")
	flag.Parse()
	if err := r.make(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var semver = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

var errVersion = errors.New("want a version such as v0.1.0 or v0.2.0-rc.1")

// make makes all of it.
func (r *release) make(ctx context.Context) (err error) {
	if !semver.MatchString(r.version) {
		return fmt.Errorf("--version %q: %w", r.version, errVersion)
	}
	if r.work, err = os.MkdirTemp("", "fairlead-release-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	// What was there may be of another version.
	if err := errors.Join(os.RemoveAll(r.dir), os.MkdirAll(r.dir, 0o755)); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"images", r.images}, {"manifest", r.manifest}, {"chart", r.chart}, {"plugin", r.plugin}, {"notes", r.notes}, {"checksums", r.checksums},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// path is where a file of the release goes.
func (r *release) path(format string, args ...any) string {
	return filepath.Join(r.dir, fmt.Sprintf(format, args...))
}
