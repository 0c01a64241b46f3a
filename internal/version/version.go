// Package version says which build a program is.
package version

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
)

// Set by the linker (-X); see the Makefile.
var (
	number = "dev"
	commit = "unknown"
)

// An Info names a build.
type Info struct {
	// Version is that of the release, such as v0.1.0, or dev.
	Version string `json:"version"`
	// Commit is the hash of what it was built from, or unknown.
	Commit string `json:"commit"`
	// Go is the version of the compiler.
	Go string `json:"go"`
	// Platform is the operating system and the architecture.
	Platform string `json:"platform"`
}

// Get returns what this program was built from.
func Get() Info {
	return Info{Version: number, Commit: commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

// String returns it in one line.
func (i Info) String() string {
	return fmt.Sprintf("%s (commit %s, %s, %s)", i.Version, i.Commit, i.Go, i.Platform)
}

// ErrRequested is what the parser of flags returns where nothing but the version is asked for.
var ErrRequested = errors.New("the version is asked for")

// Flag defines --version.
func Flag(f *flag.FlagSet) *bool { return f.Bool("version", false, "print the version and exit") }
