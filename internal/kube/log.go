package kube

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Logger returns a logger that writes JSON lines, and has the Kubernetes
// libraries use it. The level is debug, info, warn or error.
func Logger(w io.Writer, level string) (logr.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	log := logr.FromSlogHandler(quiet{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})})
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client"))
	return log, nil
}

// unexplained is what controller-runtime logs of each probe that fails, without the reason, which Checked logs.
const unexplained = "healthz check failed"

// quiet is a handler that leaves out what says nothing.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == unexplained {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }

// Reason is why something that is tried again and again failed last; empty if it did not.
type Reason string

// changes notes how the latest attempt has ended, and reports whether the one before ended otherwise.
func (r *Reason) changes(err error) bool {
	before := *r
	if *r = ""; err != nil {
		*r = Reason(err.Error())
	}
	return *r != before
}

// Info logs why an attempt has failed, unless the one before failed for the same reason.
func (r *Reason) Info(log logr.Logger, message string, err error) {
	if r.changes(err) && err != nil {
		log.Info(message, "reason", err.Error())
	}
}

// Checked is a check for probes that logs when what it says changes.
func Checked(log logr.Logger, name string, check func(*http.Request) error) func(*http.Request) error {
	var mu sync.Mutex
	var last Reason
	return func(r *http.Request) error {
		err := check(r)
		mu.Lock()
		defer mu.Unlock()
		switch changed := last.changes(err); {
		case !changed:
		case err != nil:
			log.Info("check fails", "check", name, "reason", err.Error())
		default:
			log.Info("check succeeds", "check", name)
		}
		return err
	}
}
