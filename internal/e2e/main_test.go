package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

// shared is the cluster of all stories, and why there is none.
var (
	shared  *cluster
	skipped string
)

func TestMain(m *testing.M) {
	lab.Init()
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	os.Exit(run(m))
}

func run(m *testing.M) int {
	switch {
	case testing.Short():
		skipped = "starts a whole cluster: not with -short"
	case os.Getuid() != 0:
		skipped = "starts a whole cluster: needs root"
	}
	if skipped != "" {
		return m.Run()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if shared, err = start(ctx, lab.Options{Name: "e2e", Nodes: 3, Log: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	code := m.Run()
	if code != 0 {
		shared.dump(os.Stderr)
	}
	if err := shared.Down(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return code
}

// start makes a cluster with Fairlead on it.
func start(ctx context.Context, o lab.Options) (*cluster, error) {
	checkout, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	l, err := lab.Up(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &cluster{Lab: l}
	if err := c.connect(); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := l.Install(ctx, checkout); err != nil {
		c.dump(os.Stderr)
		_ = l.Down(ctx) // the first error is the one to tell
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "Fairlead is ready after %.1fs.\n", time.Since(began).Seconds())
	return c, nil
}

// another starts a cluster for one story, and ends it with that.
func another(t *testing.T, o lab.Options) *cluster {
	t.Helper()
	if skipped != "" {
		t.Skip(skipped)
	}
	o.Log = t.Output()
	c, err := start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.dump(t.Output())
		}
		if err := c.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *cluster) connect() error {
	rc, err := c.RESTConfig()
	if err != nil {
		return err
	}
	scheme, err := kube.NewScheme()
	if err != nil {
		return err
	}
	c.api, err = client.New(rc, client.Options{Scheme: scheme})
	return err
}
