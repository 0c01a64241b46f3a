//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

type bench struct {
	*lab.Lab
	client *kubernetes.Clientset
}

// watcher notes when what was first seen.
type watcher struct {
	mu       sync.Mutex
	assigned map[string]time.Time
	deleted  map[string]time.Time
}

func (b *bench) watch(ctx context.Context) (*watcher, error) {
	w := &watcher{assigned: map[string]time.Time{}, deleted: map[string]time.Time{}}
	stream, err := b.client.CoreV1().Services("default").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	go func() {
		for e := range stream.ResultChan() {
			if svc, ok := e.Object.(*corev1.Service); ok {
				w.see(svc, e.Type)
			}
		}
	}()
	return w, nil
}

func (w *watcher) see(svc *corev1.Service, what watch.EventType) {
	w.mu.Lock()
	defer w.mu.Unlock()
	into := w.assigned
	if what == watch.Deleted {
		into = w.deleted
	} else if len(svc.Status.LoadBalancer.Ingress) == 0 {
		return
	}
	if _, seen := into[svc.Name]; !seen {
		into[svc.Name] = time.Now()
	}
}

// until waits until something is so of what was seen.
func (w *watcher) until(ctx context.Context, is func() bool) error {
	for start := time.Now(); time.Since(start) < time.Minute && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		done := is()
		w.mu.Unlock()
		if done {
			return nil
		}
	}
	return errors.Join(ctx.Err(), errors.New("not all was seen within a minute"))
}

// once creates the Services, has others wait, deletes the first, and cleans up.
func (b *bench) once(ctx context.Context) (f figures, err error) {
	// As many addresses as Services: then there is none left for those who wait.
	pool := fmt.Sprintf("apiVersion: fairlead.io/v1beta1\nkind: IPAddressPool\nmetadata:\n  name: bench\nspec:\n  addresses: [10.200.0.1-10.200.%d.%d]\n",
		*services/256, *services%256)
	if _, err := b.Kubectl(ctx, strings.NewReader(pool), "apply", "-f", "-"); err != nil {
		return f, err
	}
	w, err := b.watch(ctx)
	if err != nil {
		return f, err
	}
	before, err := quiet(ctx, 30*time.Millisecond, controllers)
	if err != nil {
		return f, err
	}
	answered, err := b.each(ctx, "s", *services, b.create)
	if err != nil {
		return f, err
	}
	if err := w.until(ctx, func() bool { return len(w.assigned) == *services }); err != nil {
		return f, err
	}
	after, err := controllers()
	if err != nil {
		return f, err
	}
	f.cpu, f.rss = after.CPU-before.CPU, after.RSS
	w.latencies(&f, answered)

	if _, err := b.each(ctx, "w", waiters, b.create); err != nil {
		return f, err
	}
	if before, err = controllers(); err != nil {
		return f, err
	}
	if _, err := b.each(ctx, "s", *services, b.delete); err != nil {
		return f, err
	}
	if err := w.until(ctx, func() bool { return len(w.assigned) == *services+waiters && len(w.deleted) == *services }); err != nil {
		return f, err
	}
	if after, err = controllers(); err != nil {
		return f, err
	}
	f.deletion = after.CPU - before.CPU
	f.served, f.lag = w.served()
	_, err = b.each(ctx, "w", waiters, b.delete)
	return f, err
}

func (w *watcher) latencies(f *figures, answered map[string]time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	var lastAsked, lastServed time.Time
	for name, at := range answered {
		all = append(all, max(0, w.assigned[name].Sub(at)))
		lastAsked, lastServed = later(lastAsked, at), later(lastServed, w.assigned[name])
	}
	f.p50, f.p99, f.worst = measure.Quantile(all, 0.5), measure.Quantile(all, 0.99), measure.Quantile(all, 1)
	f.last = max(0, lastServed.Sub(lastAsked))
}

// served returns how long after the first release the last of those who waited had its
// address, and the most that the n-th of them had it after the n-th release.
func (w *watcher) served() (last, lag time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sorted := func(of map[string]time.Time, prefix string) (out []time.Time) {
		for name, at := range of {
			if strings.HasPrefix(name, prefix) {
				out = append(out, at)
			}
		}
		slices.SortFunc(out, time.Time.Compare)
		return out
	}
	released, served := sorted(w.deleted, "s"), sorted(w.assigned, "w")
	for i, at := range served {
		lag = max(lag, at.Sub(released[i]))
	}
	return served[len(served)-1].Sub(released[0]), lag
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// each does something for so many names by several writers, and returns when each was answered.
func (b *bench) each(ctx context.Context, prefix string, n int, do func(context.Context, string) error) (map[string]time.Time, error) {
	var mu sync.Mutex
	answered := map[string]time.Time{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(*writers)
	for i := range n {
		g.Go(func() error {
			name := fmt.Sprintf("%s%d", prefix, i)
			if err := do(ctx, name); err != nil {
				return err
			}
			at := time.Now()
			mu.Lock()
			defer mu.Unlock()
			answered[name] = at
			return nil
		})
	}
	return answered, g.Wait()
}

func (b *bench) create(ctx context.Context, name string) error {
	noNodePorts := false // there are fewer than Services
	_, err := b.client.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}, AllocateLoadBalancerNodePorts: &noNodePorts,
		},
	}, metav1.CreateOptions{})
	return err
}

func (b *bench) delete(ctx context.Context, name string) error {
	return b.client.CoreV1().Services("default").Delete(ctx, name, metav1.DeleteOptions{})
}
