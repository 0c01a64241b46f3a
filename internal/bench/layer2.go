//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

//go:embed layer2.yaml
var objects string

// onLayer2 are in the order in which they are taken: burst leaves its Services to crowd.
var onLayer2 = []measurement[*layer2]{
	{"cable", (*layer2).cable},
	{"outage", (*layer2).outage},
	{"planned", (*layer2).planned},
	{"held", (*layer2).held},
	{"lost", (*layer2).lost},
	{"kept", (*layer2).kept},
	{"first", (*layer2).first},
	{"burst", (*layer2).burst},
	{"crowd", (*layer2).crowd},
}

// The page of layer2.yaml, and the network of the crowd.
var (
	page  = netip.MustParseAddr("172.30.0.100")
	crowd = netip.MustParsePrefix("10.200.0.0/16")
)

// layer2 is a cluster of three nodes that serves the page.
type layer2 struct {
	*bench
	hosts map[string]string // by MAC address
	last  netip.Addr        // of the crowd that was used
	have  []netip.Addr      // of the crowd that is held
}

func newLayer2(ctx context.Context, b *bench) (*layer2, error) {
	l := &layer2{bench: b, last: crowd.Addr()}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	fmt.Printf("\nLayer 2: %d nodes, kube-proxy in mode %s; %d CPUs for all of it, %s\n", len(l.Nodes()), l.ProxyMode(), runtime.NumCPU(), runtime.Version())
	return l, nil
}

// prepare puts the crowd's network on the nodes' segment, and waits until the page is served.
func (b *layer2) prepare(ctx context.Context) (err error) {
	for i, name := range append(b.Nodes(), lab.Client) {
		own := fmt.Sprintf("10.200.255.%d/%d", i+1, crowd.Bits())
		if out, err := b.Host(name).Command(ctx, "ip", "address", "add", own, "dev", "eth0").CombinedOutput(); err != nil {
			return fmt.Errorf("add %s to %s: %w: %s", own, name, err, out)
		}
	}
	if b.hosts, err = measure.MACs(b.Lab); err != nil {
		return err
	}
	if _, err := b.Kubectl(ctx, strings.NewReader(objects), "apply", "-f", "-"); err != nil {
		return err
	}
	return b.healthy(ctx)
}

// The page is asked for every interval, and must come within patience.
const (
	interval = 10 * time.Millisecond
	patience = 300 * time.Millisecond
)

// during fetches the page over new connections while something is done.
func (b *layer2) during(ctx context.Context, do func(*measure.Probe) error) (measure.Attempts, error) {
	client := b.Host(lab.Client)
	p := measure.Start(interval, func() error {
		_, err := client.Get(ctx, page, 80, patience)
		return err
	})
	time.Sleep(patience)
	err := do(p)
	return p.Stop(), errors.Join(err, ctx.Err())
}

// recovered waits until the page was away and comes again, or for as long as the limit.
func (b *layer2) recovered(ctx context.Context, p *measure.Probe) {
	for start := time.Now(); !p.Recovered(2*patience) && time.Since(start) < *limit && ctx.Err() == nil; {
		time.Sleep(interval)
	}
}

// holder returns the node that answers for the page.
func (b *layer2) holder(ctx context.Context) (string, error) { return b.holderOf(ctx, page) }

func (b *layer2) holderOf(ctx context.Context, address netip.Addr) (string, error) {
	macs, err := measure.Holders(ctx, b.Host(lab.Client), address, 200*time.Millisecond)
	if err != nil {
		return "", err
	}
	if len(macs) != 1 {
		return "", fmt.Errorf("%v answer for %s, want one", macs, address)
	}
	return b.hosts[macs[0]], nil
}

// settling is how long after all is well a cluster is left alone, for speakers to meet again.
const settling = 3 * time.Second

// healthy waits until nodes, Fairlead and the page are as they were in the beginning.
func (b *layer2) healthy(ctx context.Context) error { return recovery(ctx, b.well) }

// recovery waits until all is well, and then for speakers to settle.
func recovery(ctx context.Context, well func(context.Context) error) error {
	var err error
	for start := time.Now(); time.Since(start) < 3*time.Minute && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if err = well(ctx); err == nil {
			time.Sleep(settling)
			return nil
		}
	}
	return errors.Join(fmt.Errorf("the cluster did not recover: %w", err), ctx.Err())
}

func (b *layer2) well(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if _, err := b.holder(ctx); err != nil {
		return err
	}
	_, err := b.Host(lab.Client).Get(ctx, page, 80, time.Second)
	return err
}

// ready returns an error unless nodes and Fairlead are.
func (b *bench) ready(ctx context.Context) error {
	nodes, err := b.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, node := range nodes.Items {
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				return fmt.Errorf("node %s: %s", node.Name, c.Message)
			}
		}
	}
	return b.RolledOut(ctx, "deployment/controller", "daemonset/speaker")
}
