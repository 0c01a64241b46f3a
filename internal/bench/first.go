//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// asking runs do while an asker asks from the client.
func (b *layer2) asking(ctx context.Context, do func(context.Context, *measure.Asker) error) error {
	ask, err := measure.OpenAsker(b.Host(lab.Client), "eth0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- ask.Run(ctx) }()
	err = do(ctx, ask)
	cancel()
	return errors.Join(err, <-failed)
}

// unused returns addresses of the crowd that nobody has had.
func (b *layer2) unused(n int) (out []netip.Addr) {
	for range n {
		b.last = b.last.Next()
		out = append(out, b.last)
	}
	return out
}

// join creates a Service of the crowd. kube-proxy is configured to ignore it: there is one for each node, and all share
// this machine's CPUs.
func (b *bench) join(ctx context.Context, name string, address netip.Addr) error {
	noNodePorts := false
	_, err := b.client.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"service.kubernetes.io/service-proxy-name": "none"},
			Annotations: map[string]string{"fairlead.io/ips": address.String()},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "web"},
			Ports: []corev1.ServicePort{{Port: 80}}, AllocateLoadBalancerNodePorts: &noNodePorts,
		},
	}, metav1.CreateOptions{})
	return err
}

// answered waits until all were answered, or for as long as the limit.
func answered(ctx context.Context, ask *measure.Asker) {
	for start := time.Now(); ask.Waiting() > 0 && time.Since(start) < *limit && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
	}
}

func (b *layer2) first(ctx context.Context) error {
	var all []float64
	err := b.asking(ctx, func(ctx context.Context, ask *measure.Asker) error {
		for i, address := range b.unused(*trials) {
			ask.Expect(address)
			time.Sleep(250*time.Millisecond + time.Duration(i%10)*7*time.Millisecond) // at no fixed beat
			name := fmt.Sprintf("first-%d", i)
			if err := b.join(ctx, name, address); err != nil {
				return err
			}
			created := time.Now()
			answered(ctx, ask)
			all = append(all, millis(since(created, address, ask.Answers())))
			if err := b.delete(ctx, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	headingf("A Service is created, %d times; its pods are there. The client asks by ARP every millisecond from before on.", *trials)
	row("creation answered → first ARP answer", "15 ms (median)", "%.1f ms", all...)
	return nil
}

// since returns how long after something an address was answered; the limit stands for never.
func since(begin time.Time, address netip.Addr, answers map[netip.Addr]measure.Answer) time.Duration {
	a, ok := answers[address]
	if !ok {
		return *limit
	}
	return max(0, a.At.Sub(begin))
}

// gossiping is more CPU than all speakers together take in a second for each other alone.
const gossiping = 50 * time.Millisecond

// burstSize is how many Services are created at a time.
const burstSize = 1000

func (b *layer2) burst(ctx context.Context) error {
	var all [][]float64
	for range *runs {
		took, err := b.grow(ctx, burstSize)
		if err != nil {
			return err
		}
		progressf("p99 %.0f ms", measure.Quantile(took, 0.99))
		all = append(all, took)
		if _, err := quiet(ctx, gossiping, b.speakers); err != nil {
			return err
		}
	}
	headingf("%d Services are created by %d writers, %d times, each beside the earlier ones. The client asks for those without an answer, %s.",
		burstSize, *writers, *runs, "up to 10,000 times a second")
	for _, q := range []struct {
		what   string
		q      float64
		mustBe string
	}{{"creation answered → first ARP answer, p50", 0.5, ""}, {"the same, p99", 0.99, "250 ms"}, {"the same, worst", 1, ""}} {
		rowOf(all, q.what, q.mustBe, "%.0f ms", func(took []float64) float64 { return measure.Quantile(took, q.q) })
	}
	return nil
}

// grow adds Services to the crowd, and returns how many milliseconds it took until each was answered.
func (b *layer2) grow(ctx context.Context, n int) (took []float64, err error) {
	prefix := fmt.Sprintf("crowd-%d-", len(b.have))
	address := map[string]netip.Addr{}
	for i, a := range b.unused(n) {
		address[fmt.Sprintf("%s%d", prefix, i)] = a
	}
	err = b.asking(ctx, func(ctx context.Context, ask *measure.Asker) error {
		created, err := b.each(ctx, prefix, n, func(ctx context.Context, name string) error {
			ask.Expect(address[name])
			return b.join(ctx, name, address[name])
		})
		if err != nil {
			return err
		}
		answered(ctx, ask)
		answers := ask.Answers()
		for name, at := range created {
			took = append(took, millis(since(at, address[name], answers)))
		}
		return nil
	})
	b.have = append(b.have, slices.Collect(maps.Values(address))...)
	return took, err
}
