//go:build linux

package main

import (
	"context"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// operation is what is done to clusters on purpose: commands for kubectl, and those that undo them.
type operation struct {
	what     string
	moves    bool // the address, and so cuts connections that are under way
	do, undo func(node string) [][]string
}

var (
	drained = operation{
		"kubectl drain", false,
		func(node string) [][]string {
			return [][]string{{"drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s"}}
		},
		func(node string) [][]string { return [][]string{{"uncordon", node}} },
	}
	labelled = operation{
		"label exclude-from-external-load-balancers", true,
		func(node string) [][]string { return [][]string{{"label", "node", node, excluded + "="}} },
		func(node string) [][]string { return [][]string{{"label", "node", node, excluded + "-"}} },
	}
	speakerDeleted = operation{
		"kubectl delete pod, of the speaker", false,
		func(node string) [][]string {
			return [][]string{
				{"-n", lab.Namespace, "delete", "pod", "--field-selector", "spec.nodeName=" + node, "-l", "app.kubernetes.io/component=speaker"},
				rolledOut,
			}
		},
		nothing,
	}
	speakersRestarted = operation{
		"kubectl rollout restart, of the speakers", false,
		func(string) [][]string { return [][]string{restart, rolledOut} },
		nothing,
	}

	works = []operation{drained, labelled, speakerDeleted, speakersRestarted}
)

const excluded = "node.kubernetes.io/exclude-from-external-load-balancers"

var (
	restart   = []string{"-n", lab.Namespace, "rollout", "restart", "daemonset/speaker"}
	rolledOut = []string{"-n", lab.Namespace, "rollout", "status", "daemonset/speaker", "--timeout=90s"}
)

func nothing(string) [][]string { return nil }

func (b *bench) kubectl(ctx context.Context, commands [][]string) error {
	for _, c := range commands {
		if _, err := b.Kubectl(ctx, nil, c...); err != nil {
			return err
		}
	}
	return nil
}

func (b *layer2) planned(ctx context.Context) error {
	headingf("Work on the announcing node, %d times each; connections as before.", *planned)
	for _, w := range works {
		var all []measure.Attempts
		for i := range *planned {
			seen, err := b.work(ctx, w)
			if err != nil {
				return err
			}
			progressf("%s %d: %d of %d pages lost, longest gap %s", w.what, i+1, len(seen.Failed()), len(seen), seen.Gap())
			for _, lost := range seen.Failed() {
				progressf("lost at %s after %s: %s", lost.At, lost.Took, lost.Err)
			}
			all = append(all, seen)
		}
		rowOf(all, w.what+": pages lost, of new connections", "0", "%.0f", func(a measure.Attempts) float64 { return float64(len(a.Failed()) - cut(a)) })
		mustBe := "0"
		if w.moves {
			mustBe = ""
		}
		rowOf(all, "the same: pages lost, of connections under way", mustBe, "%.0f", func(a measure.Attempts) float64 { return float64(cut(a)) })
		rowOf(all, "the same: longest time without a page", "100 ms", "%.0f ms", func(a measure.Attempts) float64 { return millis(a.Gap()) })
	}
	return nil
}

// cut is how many connections were reset.
func cut(all measure.Attempts) (n int) {
	for _, lost := range all.Failed() {
		if lost.Cut() {
			n++
		}
	}
	return n
}

func (b *layer2) work(ctx context.Context, w operation) (measure.Attempts, error) {
	node, err := b.holder(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := b.during(ctx, func(*measure.Probe) error {
		if err := b.kubectl(ctx, w.do(node)); err != nil {
			return err
		}
		time.Sleep(settling)
		return b.kubectl(ctx, w.undo(node))
	})
	if err != nil {
		return nil, err
	}
	return seen, b.healthy(ctx)
}
