package kube

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr"
)

// TestChecked: what a check says is logged when it changes, with the reason; what the library logs of it is not.
func TestChecked(t *testing.T) {
	var out strings.Builder
	log := logr.FromSlogHandler(quiet{slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})}).WithValues("node", "n")
	var err error
	check := Checked(log, "announcing", func(*http.Request) error { return err })
	for _, e := range []error{nil, errors.New("a"), errors.New("a"), errors.New("b"), nil, nil} {
		err = e
		if got := check(nil); !errors.Is(got, e) {
			t.Errorf("%v, want %v", got, e)
		}
		if e != nil {
			log.WithName("x").Info(unexplained, "statuses", "{}")
		}
	}
	want := `msg="check fails" node=n check=announcing reason=a
msg="check fails" node=n check=announcing reason=b
msg="check succeeds" node=n check=announcing
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
