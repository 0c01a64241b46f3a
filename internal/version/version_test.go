package version

import (
	"flag"
	"strings"
	"testing"
)

// TestString: one line that says all there is to say.
func TestString(t *testing.T) {
	i := Info{Version: "v0.1.0", Commit: "0123abc", Go: "go1.26.0", Platform: "linux/arm64"}
	if got, want := i.String(), "v0.1.0 (commit 0123abc, go1.26.0, linux/arm64)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestGet: a build that the linker was told nothing of is one of development.
func TestGet(t *testing.T) {
	if got := Get(); got.Version != "dev" || !strings.HasPrefix(got.Go, "go") || !strings.Contains(got.Platform, "/") {
		t.Errorf("got %+v", got)
	}
}

// TestFlag: both spellings that Go's flags know.
func TestFlag(t *testing.T) {
	for _, arg := range []string{"--version", "-version"} {
		f := flag.NewFlagSet("program", flag.ContinueOnError)
		if asked := Flag(f); f.Parse([]string{arg}) != nil || !*asked {
			t.Errorf("%s was not read", arg)
		}
	}
}
