//go:build linux

// Command bench measures Fairlead on clusters on this machine, and prints tables:
// what was reached, what must be, and how it was measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

var (
	only     = flag.String("only", "", "measure only these, of "+strings.Join(names(), ", ")+"; l2 and bgp are all of one kind")
	name     = flag.String("name", "bench", "start clusters by this name")
	services = flag.Int("services", 3000, "assign: create so many Services; crowd: have so many")
	writers  = flag.Int("writers", 16, "by so many writers at a time")
	runs     = flag.Int("runs", 3, "alone, assign, burst, crowd: so many times")

	trials    = flag.Int("trials", 20, "cable, first: so many times")
	outages   = flag.Int("outages", 5, "outage: so many times")
	lostNodes = flag.Int("lost-nodes", 10, "lost: pull the cable of each node so many times")
	planned   = flag.Int("planned", 5, "planned, held, kept, ecmp: so many times")
	limit     = flag.Duration("limit", 90*time.Second, "wait so long for an address to come back")
)

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

// suites are what is measured on a cluster of its own each. An empty selection takes all.
var suites = []struct {
	name     string
	measures func() []string
	run      func(context.Context, []string) error
}{
	{"assign", func() []string { return []string{"assign"} }, func(ctx context.Context, _ []string) error { return assign(ctx) }},
	{"alone", func() []string { return []string{"alone"} }, func(ctx context.Context, _ []string) error { return alone(ctx) }},
	{"bgp", func() []string { return namesOf(byBGP) }, func(ctx context.Context, chosen []string) error { return onCluster(ctx, newRouted, byBGP, chosen) }},
	{"l2", func() []string { return namesOf(onLayer2) }, func(ctx context.Context, chosen []string) error { return onCluster(ctx, newLayer2, onLayer2, chosen) }},
}

func names() (out []string) {
	for _, s := range suites {
		out = append(out, s.measures()...)
	}
	return out
}

func run(ctx context.Context) error {
	chosen, err := selected(*only)
	if err != nil {
		return err
	}
	for _, s := range suites {
		if its := slices.DeleteFunc(s.measures(), func(name string) bool { return !slices.Contains(chosen, name) }); len(its) > 0 {
			if err := s.run(ctx, its); err != nil {
				return err
			}
		}
	}
	return nil
}

// selected reads what is to be measured; nothing means everything.
func selected(text string) (chosen []string, err error) {
	if text == "" {
		return names(), nil
	}
	for asked := range strings.SplitSeq(text, ",") {
		its := slices.DeleteFunc(names(), func(name string) bool { return name != asked })
		for _, s := range suites {
			if s.name == asked {
				its = s.measures()
			}
		}
		if len(its) == 0 {
			err = errors.Join(err, fmt.Errorf("nothing is called %q", asked))
		}
		chosen = append(chosen, its...)
	}
	return chosen, err
}

// A measurement prints a table of what was measured on a cluster.
type measurement[C any] struct {
	name string
	run  func(C, context.Context) error
}

func namesOf[C any](all []measurement[C]) (out []string) {
	for _, m := range all {
		out = append(out, m.name)
	}
	return out
}

// onCluster takes the chosen measures on a cluster of three nodes.
func onCluster[C any](ctx context.Context, prepare func(context.Context, *bench) (C, error), all []measurement[C], chosen []string) error {
	b, err := start(ctx, 3)
	if err != nil {
		return err
	}
	defer b.end(ctx)
	c, err := prepare(ctx, b)
	if err != nil {
		return err
	}
	for _, m := range all {
		if !slices.Contains(chosen, m.name) {
			continue
		}
		progressf("%s", m.name)
		if err := m.run(c, ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}
