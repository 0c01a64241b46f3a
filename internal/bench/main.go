//go:build linux

// Command bench measures Fairlead on a cluster on this machine, and prints a table:
// what was reached, what must be, and how it was measured.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

var (
	services = flag.Int("services", 3000, "create so many Services")
	writers  = flag.Int("writers", 16, "by so many writers at a time")
	runs     = flag.Int("runs", 3, "so many times")
)

// waiters is how many Services wait while the others are deleted.
const waiters = 100

func main() {
	lab.Init()
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	others, err := controllers()
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fmt.Errorf("processes %s run the controller already, and would be counted: end the other cluster first", strings.Join(others, ", "))
	}
	l, err := lab.Up(ctx, lab.Options{Name: "bench", Nodes: 1, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { _ = l.Down(context.WithoutCancel(ctx)) }()
	if err := l.Install(ctx, "."); err != nil {
		return err
	}
	rc, err := l.RESTConfig()
	if err != nil {
		return err
	}
	rc.QPS = -1
	client, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return err
	}
	b := &bench{Lab: l, client: client}
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

// figures are what one run measured.
type figures struct {
	p50, p99, worst, last time.Duration
	cpu                   time.Duration
	rss                   int64 // KiB
	served, lag, deletion time.Duration
}

func table(all []figures) {
	fmt.Printf("\n%d Services, %d writers, %d runs (median, worst); one node, with speaker and kube-proxy; %d CPUs, %s\n\n",
		*services, *writers, len(all), runtime.NumCPU(), runtime.Version())
	fmt.Println("| what | median | worst | must be |\n|---|---|---|---|")
	row := func(what, most string, of func(figures) float64, format string) {
		var values []float64
		for _, f := range all {
			values = append(values, of(f))
		}
		slices.Sort(values)
		fmt.Printf("| %s | "+format+" | "+format+" | %s |\n", what, values[len(values)/2], values[len(values)-1], most)
	}
	ms := func(of func(figures) time.Duration) func(figures) float64 {
		return func(f figures) float64 { return float64(of(f)) / float64(time.Millisecond) }
	}
	row("creation answered → address seen by a watch, p50", "", ms(func(f figures) time.Duration { return f.p50 }), "%.1f ms")
	row("the same, p99", "300 ms", ms(func(f figures) time.Duration { return f.p99 }), "%.1f ms")
	row("the same, worst", "", ms(func(f figures) time.Duration { return f.worst }), "%.1f ms")
	row("last creation answered → last address", "1000 ms", ms(func(f figures) time.Duration { return f.last }), "%.1f ms")
	row("CPU of both controllers for that", "4000 ms", ms(func(f figures) time.Duration { return f.cpu }), "%.0f ms")
	row("RSS of the larger controller holding them", "60 MiB", func(f figures) float64 { return float64(f.rss) / 1024 }, "%.1f MiB")
	row(fmt.Sprintf("all deleted: first release → each of %d that wait has an address", waiters), "1000 ms",
		ms(func(f figures) time.Duration { return f.served }), "%.1f ms")
	row("the same: n-th release → the n-th of them has an address", "", ms(func(f figures) time.Duration { return f.lag }), "%.1f ms")
	row("CPU of both controllers for the deletion", "", ms(func(f figures) time.Duration { return f.deletion }), "%.0f ms")
}
