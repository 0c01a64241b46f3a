//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// What clients feel: pods that are lost with their node, and open connections whose address moves; each with what Fairlead does about
// it, and without.

//go:embed spread.yaml
var spreadObjects string

// The page of spread.yaml, and how often it is asked for. A request that goes to a lost pod is given up after a second.
var spread = netip.MustParseAddr("172.30.0.101")

const (
	spreadInterval = 20 * time.Millisecond
	spreadPatience = time.Second
)

// The pages are watched for so long after a cable is pulled. Kubernetes alone takes 40 to 50 seconds.
const (
	marked   = 10 * time.Second
	unmarked = 60 * time.Second
)

// forgiven is after how long a node that was lost is like any other. One that comes and goes is marked ever later.
const forgiven = 16 * time.Second

// roles are which node is lost.
var roles = []struct {
	what string
	node func(b *layer2, ctx context.Context) (string, error)
}{
	{"does not announce", func(b *layer2, ctx context.Context) (string, error) {
		announcer, err := b.holderOf(ctx, spread)
		leader, another := b.Leader(ctx)
		for _, node := range b.Nodes() {
			if node != announcer && node != leader {
				return node, errors.Join(err, another)
			}
		}
		return "", errors.Join(err, another)
	}},
	{"announces", func(b *layer2, ctx context.Context) (string, error) { return b.holderOf(ctx, spread) }},
	{"has the controller that leads", func(b *layer2, ctx context.Context) (string, error) { return b.Leader(ctx) }},
}

func (b *layer2) lost(ctx context.Context) error {
	if _, err := b.Kubectl(ctx, strings.NewReader(spreadObjects), "apply", "-f", "-"); err != nil {
		return err
	}
	headingf("The cable of a node is pulled that has one of three pods, %d times each. A client fetches a page every %s, within %s; "+
		"first for %s after the pull, then for %s without what marks the pods.",
		*lostNodes, spreadInterval, spreadPatience, marked, unmarked)
	for _, r := range roles {
		var all []rotation
		for range *lostNodes {
			seen, err := b.loses(ctx, r.node, marked)
			if err != nil {
				return err
			}
			progressf("it %s: %d pages lost, the last %s after the pull; %d later", r.what, seen.lost, seen.last, seen.late)
			all = append(all, seen)
		}
		rowOf(all, "it "+r.what+": pull → last page lost was asked for", "1.5 s", "%.2f s", func(r rotation) float64 { return r.last.Seconds() })
		rowOf(all, "the same: pages lost", "", "%.0f", func(r rotation) float64 { return float64(r.lost) })
		rowOf(all, "the same: pages lost later", "", "%.0f", func(r rotation) float64 { return float64(r.late) })
	}
	if err := b.Add(ctx, "deployment/controller", false, "--mark-lost-nodes=false"); err != nil {
		return err
	}
	before, err := b.loses(ctx, roles[0].node, unmarked)
	if err != nil {
		return err
	}
	row("without: pull → last page lost was asked for", "", "%.2f s", before.last.Seconds())
	row("the same: pages lost", "", "%.0f", float64(before.lost))
	if err := b.kubectl(ctx, [][]string{{"-n", lab.Namespace, "rollout", "undo", "deployment/controller"}}); err != nil {
		return err
	}
	_, err = b.Kubectl(ctx, strings.NewReader(spreadObjects), "delete", "-f", "-")
	return errors.Join(err, b.healthy(ctx))
}

// rotation is what a client saw of the pods of a lost node. Late are pages that failed when none had for two seconds: their connections
// had the port of one that was begun to the lost pod, which the announcing node's kernel remembers for two minutes.
type rotation struct {
	last       time.Duration
	lost, late int
}

// loses pulls the cable of a node while the client fetches pages, and plugs it in again.
func (b *layer2) loses(ctx context.Context, which func(*layer2, context.Context) (string, error), long time.Duration) (r rotation, err error) {
	if err := recovery(ctx, b.spread); err != nil {
		return r, err
	}
	time.Sleep(forgiven)
	node, err := which(b, ctx)
	if err != nil {
		return r, err
	}
	began := time.Now()
	p := measure.Start(spreadInterval, func() error {
		_, err := b.Host(lab.Client).Get(ctx, spread, 80, spreadPatience)
		return err
	})
	time.Sleep(spreadPatience)
	err = b.PullCable(node)
	pulled := time.Since(began)
	time.Sleep(long)
	for _, f := range p.Stop().Failed() {
		if at := max(0, f.At-pulled); r.lost == 0 || at-r.last < 2*time.Second {
			r.last = at
			r.lost++
		} else {
			r.late++
		}
	}
	return r, errors.Join(err, b.ReplugCable(node))
}

// spread returns an error unless a pod is ready on each node, and the page comes.
func (b *layer2) spread(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if _, err := b.Kubectl(ctx, nil, "rollout", "status", "deployment/spread", "--timeout=1s"); err != nil {
		return err
	}
	_, err := b.Host(lab.Client).Get(ctx, spread, 80, spreadPatience)
	return err
}

// keepConnections are the arguments of the component, with which a node that is cordoned gives its addresses away.
var keepConnections = []string{"--keep-connections-for=1h", "--yield-cordoned"}

// moves are what moves the address.
var moves = []operation{
	labelled,
	{
		"kubectl cordon", true,
		func(node string) [][]string { return [][]string{{"cordon", node}} },
		func(node string) [][]string { return [][]string{{"uncordon", node}} },
	},
	drained,
	{
		"edited preference", true,
		func(node string) [][]string {
			other := map[string]string{"node-1": "node-2", "node-2": "node-1"}[node]
			return prefer(`[{"weight":1,"preference":{"matchLabels":{"kubernetes.io/hostname":"` + other + `"}}}]`)
		},
		func(string) [][]string { return prefer("null") },
	},
}

func prefer(selectors string) [][]string {
	return [][]string{{"patch", "l2advertisement", "page", "--type=merge", "-p", `{"spec":{"preferredNodeSelectors":` + selectors + `}}`}}
}

func (b *layer2) kept(ctx context.Context) error {
	headingf("%d connections are kept open, with a request every %s on each, while the address moves, %d times each; new connections as before. "+
		"Once each without the component before.", // what the component leaves in the kernels works for an hour
		connections, pulse, *planned)
	for _, how := range []struct {
		prefix string
		net    bool
		args   []string
		times  int
		mustBe string
	}{
		{"without: ", false, keepConnections[1:], 1, ""},
		{"", true, keepConnections, *planned, "0"},
	} {
		if err := b.Add(ctx, "daemonset/speaker", how.net, how.args...); err != nil {
			return err
		}
		for _, m := range moves {
			var lost, failed []float64
			for range how.times {
				var pages measure.Attempts
				gone, err := b.holding(ctx, connections, lab.Client, page, func() (err error) {
					pages, err = b.work(ctx, m)
					return err
				})
				if err != nil {
					return err
				}
				progressf("%s%s: %.0f connections and %d of %d pages lost", how.prefix, m.what, gone, len(pages.Failed()), len(pages))
				lost, failed = append(lost, gone), append(failed, float64(len(pages.Failed())))
			}
			row(how.prefix+m.what+": connections lost", how.mustBe, "%.0f", lost...)
			row("the same: pages lost, of new connections", how.mustBe, "%.0f", failed...)
		}
		if err := b.kubectl(ctx, [][]string{{"-n", lab.Namespace, "rollout", "undo", "daemonset/speaker"}, rolledOut}); err != nil {
			return err
		}
	}
	return b.healthy(ctx)
}

// ecmp has the routers spread connections over all nodes, of which two are taken out and come back, one after the other, and then one dies.
func (b *routed) ecmp(ctx context.Context) error {
	headingf("%d connections from behind the routers, which spread them over three nodes, with a request every %s on each, %d times.",
		spreadConnections, pulse, *planned)
	if err := b.Add(ctx, "daemonset/speaker", true, keepConnections...); err != nil {
		return err
	}
	var moved, carried, beside []float64
	for range *planned {
		lost, err := b.takenOut(ctx)
		if err != nil {
			return err
		}
		c, died, err := b.dies(ctx)
		if err != nil {
			return err
		}
		moved, carried, beside = append(moved, lost), append(carried, c), append(beside, max(0, died-c))
	}
	row("two nodes taken out, and back, one after the other: connections lost", "0", "%.0f", moved...)
	row("one node's cable pulled: connections that it carried", "", "%.0f", carried...)
	row("the same: others that were lost", "0", "%.0f", beside...)
	return errors.Join(b.kubectl(ctx, [][]string{{"-n", lab.Namespace, "rollout", "undo", "daemonset/speaker"}, rolledOut}), b.healthy(ctx))
}

const (
	spreadConnections = 100
	// withdrawn is longer than a node that is taken out goes on to announce, with a lower preference.
	withdrawn = 12 * time.Second
)

// takenOut takes two nodes out and back, and returns how many connections are lost.
func (b *routed) takenOut(ctx context.Context) (lost float64, err error) {
	if err := b.healthy(ctx); err != nil {
		return 0, err
	}
	return b.holding(ctx, spreadConnections, lab.FarClient, routedPage, func() error {
		for _, node := range b.Nodes()[:2] {
			if err := b.kubectl(ctx, labelled.do(node)); err != nil {
				return err
			}
			time.Sleep(withdrawn)
			if err := errors.Join(b.kubectl(ctx, labelled.undo(node)), b.healthy(ctx)); err != nil {
				return err
			}
		}
		return nil
	})
}

// dies pulls a node's cable, and returns how many connections it carried, and how many are lost.
func (b *routed) dies(ctx context.Context) (carried, lost float64, err error) {
	lost, err = b.holding(ctx, spreadConnections, lab.FarClient, routedPage, func() error {
		n, err := measure.Carried(ctx, b.Host("node-1"), routedPage)
		if err != nil {
			return err
		}
		carried = float64(n)
		err = b.PullCable("node-1")
		time.Sleep(2 * settling) // longer than a connection waits for its page
		return err
	})
	return carried, lost, errors.Join(err, b.ReplugCable("node-1"))
}
