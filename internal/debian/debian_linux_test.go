package debian

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissing(t *testing.T) {
	needed := []Program{{"ip", "iproute2"}, {"/usr/lib/cni/ptp", "plugins"}, {"/usr/lib/cni/host-local", "plugins"}}
	tests := map[string]struct {
		reason  string
		present func(string) bool
		want    []string
	}{
		"All":  {"nothing is installed twice", func(string) bool { return true }, nil},
		"Some": {"a package is named once", func(file string) bool { return file == "ip" }, []string{"plugins"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, missing(needed, tc.present)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestEnsure has nothing to install: no package manager is asked, and nobody waits for others.
func TestEnsure(t *testing.T) {
	t.Setenv("TMPDIR", "/nowhere")
	if err := Ensure(t.Context(), t.Logf, Program{File: "sh", Package: "none"}); err != nil {
		t.Error(err)
	}
	if err := Ensure(t.Context(), t.Logf, Program{File: "/nowhere", Package: "none"}); !os.IsNotExist(unwrap(err)) {
		t.Errorf("installs what is missing without the lock: %v", err)
	}
}

func unwrap(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}
