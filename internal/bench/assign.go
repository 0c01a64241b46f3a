//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// waiters is how many Services wait while the others are deleted.
const waiters = 100

// assign measures the controller on a cluster of one node.
func assign(ctx context.Context) error {
	others, err := measure.Processes(measure.Controller)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fmt.Errorf("processes %v run the controller already, and would be counted: end the other cluster first", others)
	}
	b, err := start(ctx, 1)
	if err != nil {
		return err
	}
	defer b.end(ctx)
	var all []figures
	for range *runs {
		f, err := b.once(ctx)
		if err != nil {
			return err
		}
		all = append(all, f)
	}
	table(all)
	return nil
}

// start makes a cluster with Fairlead on it.
func start(ctx context.Context, nodes int) (*bench, error) {
	l, err := lab.Up(ctx, lab.Options{Name: *name, Nodes: nodes, Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	b := &bench{Lab: l}
	if err := b.install(ctx); err != nil {
		b.end(ctx)
		return nil, err
	}
	return b, nil
}

func (b *bench) install(ctx context.Context) error {
	if err := b.Install(ctx, "."); err != nil {
		return err
	}
	rc, err := b.RESTConfig()
	if err != nil {
		return err
	}
	b.client, err = kubernetes.NewForConfig(rc)
	return err
}

func (b *bench) end(ctx context.Context) {
	if err := b.Down(context.WithoutCancel(ctx)); err != nil {
		progressf("%v", err)
	}
}

// figures are what one run measured.
type figures struct {
	p50, p99, worst, last time.Duration
	cpu                   time.Duration
	rss                   int64 // bytes
	served, lag, deletion time.Duration
}

func table(all []figures) {
	headingf("%d Services, %d writers, %d runs (median, worst); one node, with speaker and kube-proxy; %d CPUs, %s",
		*services, *writers, len(all), runtime.NumCPU(), runtime.Version())
	ms := func(what, mustBe, format string, of func(figures) time.Duration) {
		rowOf(all, what, mustBe, format+" ms", func(f figures) float64 { return millis(of(f)) })
	}
	ms("creation answered → address seen by a watch, p50", "", "%.1f", func(f figures) time.Duration { return f.p50 })
	ms("the same, p99", "300 ms", "%.1f", func(f figures) time.Duration { return f.p99 })
	ms("the same, worst", "", "%.1f", func(f figures) time.Duration { return f.worst })
	ms("last creation answered → last address", "1000 ms", "%.1f", func(f figures) time.Duration { return f.last })
	ms("CPU of both controllers for that", "4000 ms", "%.0f", func(f figures) time.Duration { return f.cpu })
	rowOf(all, "RSS of the larger controller holding them", "60 MiB", "%.1f MiB", func(f figures) float64 { return mib(f.rss) })
	ms(fmt.Sprintf("all deleted: first release → each of %d that wait has an address", waiters), "1000 ms", "%.1f",
		func(f figures) time.Duration { return f.served })
	ms("the same: n-th release → the n-th of them has an address", "", "%.1f", func(f figures) time.Duration { return f.lag })
	ms("CPU of both controllers for the deletion", "", "%.0f", func(f figures) time.Duration { return f.deletion })
}
