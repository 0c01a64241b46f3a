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

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

//go:embed routed.yaml
var routedObjects string

// byBGP are in the order in which they are taken.
var byBGP = []measurement[*routed]{
	{"route", (*routed).route},
	{"bgpcable", (*routed).cable},
	{"bgpplanned", (*routed).planned},
	{"ecmp", (*routed).ecmp},
	{"routes", (*routed).routes},
}

// The page of routed.yaml, and the network of the others.
var (
	routedPage    = netip.MustParseAddr("198.18.255.1")
	routedNetwork = netip.MustParsePrefix("198.18.0.0/17")
)

// routed is a cluster of three nodes whose page is announced to FRR and BIRD.
type routed struct {
	*bench
	last netip.Addr // of the network that was used
}

func newRouted(ctx context.Context, b *bench) (*routed, error) {
	r := &routed{bench: b, last: routedNetwork.Addr()}
	if err := b.StartRouters(ctx, lab.Routing{BFD: lab.FastBFD}); err != nil {
		return nil, err
	}
	if _, err := b.Kubectl(ctx, strings.NewReader(routedObjects), "apply", "-f", "-"); err != nil {
		return nil, err
	}
	if err := r.healthy(ctx); err != nil {
		return nil, err
	}
	fmt.Printf("\nBGP: %d nodes, FRR and BIRD, BFD 100 ms x 3, graceful restart; kube-proxy in mode %s; %d CPUs for all of it, %s\n",
		len(r.Nodes()), r.ProxyMode(), runtime.NumCPU(), runtime.Version())
	return r, nil
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// healthy waits until nodes, Fairlead, BFD and the routes of the page are as they were in the beginning.
func (b *routed) healthy(ctx context.Context) error {
	return recovery(ctx, func(ctx context.Context) error {
		if err := b.ready(ctx); err != nil {
			return err
		}
		for _, r := range []string{lab.Router1, lab.Router2} {
			nodes, err := b.Forwards(r, host(routedPage))
			if err != nil {
				return err
			}
			up, err := b.BFDUp(ctx, r)
			if err != nil {
				return err
			}
			if len(nodes) != len(b.Nodes()) || len(up) < len(b.Nodes()) {
				return fmt.Errorf("%s sends to %v, and reaches %v by BFD", r, nodes, up)
			}
		}
		_, err := b.Host(lab.FarClient).Get(ctx, routedPage, 80, time.Second)
		return err
	})
}

// during fetches the page from behind the routers over new connections while something is done.
func (b *routed) during(ctx context.Context, do func() error) (measure.Attempts, error) {
	client := b.Host(lab.FarClient)
	p := measure.Start(interval, func() error {
		_, err := client.Get(ctx, routedPage, 80, patience)
		return err
	})
	time.Sleep(patience)
	err := do()
	return p.Stop(), errors.Join(err, ctx.Err())
}

// watching watches the routes of a router's kernel while something is done.
func (b *routed) watching(router string, do func(*measure.Routes) error) error {
	w, err := measure.WatchRoutes(b.Host(router))
	if err != nil {
		return err
	}
	err = do(w)
	return errors.Join(err, w.Stop())
}

func (b *routed) route(ctx context.Context) error {
	took := map[string][]float64{}
	w, err := b.watch(ctx)
	if err != nil {
		return err
	}
	for _, r := range []string{lab.Router1, lab.Router2} {
		err := b.watching(r, func(routes *measure.Routes) error {
			for i := range *trials {
				d, err := b.routeOf(ctx, w, routes, fmt.Sprintf("route-%s-%d", r, i))
				if err != nil {
					return err
				}
				took[r] = append(took[r], millis(d))
				time.Sleep(250*time.Millisecond + time.Duration(i%10)*7*time.Millisecond) // at no fixed beat
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	headingf("A Service is created, %d times at each router; its pods are there. Kernels are watched, and so are Services.", *trials)
	row("address seen in the status → route in FRR's kernel", "50 ms", "%.0f ms", took[lab.Router1]...)
	row("the same, BIRD", "50 ms", "%.0f ms", took[lab.Router2]...)
	return nil
}

// routeOf creates a Service, and returns how long after its address was seen its route was there.
func (b *routed) routeOf(ctx context.Context, w *watcher, routes *measure.Routes, name string) (time.Duration, error) {
	b.last = b.last.Next()
	if err := b.join(ctx, name, b.last); err != nil {
		return 0, err
	}
	if err := b.until(ctx, "a route to "+b.last.String(), func() bool { return len(routes.Changes(host(b.last))) > 0 }); err != nil {
		return 0, err
	}
	var assigned time.Time
	err := w.until(ctx, func() bool {
		assigned = w.assigned[name]
		return !assigned.IsZero()
	})
	return max(0, routes.Changes(host(b.last))[0].At.Sub(assigned)), errors.Join(err, b.delete(ctx, name))
}

// until waits until something is so, for five minutes at most.
func (b *routed) until(ctx context.Context, what string, is func() bool) error {
	for start := time.Now(); time.Since(start) < 5*time.Minute && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if is() {
			return nil
		}
	}
	return errors.Join(ctx.Err(), fmt.Errorf("%s: not within five minutes", what))
}

func (b *routed) cable(ctx context.Context) error {
	var all []measure.Attempts
	for i := range *outages {
		seen, err := b.during(ctx, func() error {
			if err := b.PullCable("node-1"); err != nil {
				return err
			}
			time.Sleep(settling)
			return nil
		})
		if err != nil {
			return err
		}
		progressf("%d: %d of %d pages lost within %s, longest gap %s", i+1, len(seen.Failed()), len(seen), seen.Trouble(), seen.Gap())
		all = append(all, seen)
		if err := errors.Join(b.ReplugCable("node-1"), b.healthy(ctx)); err != nil {
			return err
		}
	}
	headingf("The cable of one of three nodes is pulled, %d times; pods elsewhere. A client behind the routers fetches a page every %s, within %s.",
		*outages, interval, patience)
	rowOf(all, "first page lost begun → last page lost begun", "500 ms", "%.0f ms", func(a measure.Attempts) float64 { return millis(a.Trouble()) })
	rowOf(all, "longest time without a page", "500 ms", "%.0f ms", func(a measure.Attempts) float64 { return millis(a.Gap()) })
	return nil
}

func (b *routed) planned(ctx context.Context) error {
	headingf("Work on nodes, %d times each; connections as before.", *planned)
	for _, w := range works {
		var all []measure.Attempts
		for range *planned {
			seen, err := b.during(ctx, func() error {
				if err := b.kubectl(ctx, w.do("node-1")); err != nil {
					return err
				}
				time.Sleep(settling)
				return b.kubectl(ctx, w.undo("node-1"))
			})
			if err != nil {
				return err
			}
			progressf("%s: %d of %d pages lost, %d of connections under way", w.what, len(seen.Failed()), len(seen), cut(seen))
			all = append(all, seen)
			if err := b.healthy(ctx); err != nil {
				return err
			}
		}
		rowOf(all, w.what+": pages lost, of new connections", "0", "%.0f", func(a measure.Attempts) float64 { return float64(len(a.Failed()) - cut(a)) })
		rowOf(all, "the same: pages lost, of connections under way", "", "%.0f", func(a measure.Attempts) float64 { return float64(cut(a)) })
	}
	return nil
}

// many are Services of which each has a route.
type many map[string]netip.Addr

// have reports whether all their routes have so many next hops.
func (m many) have(w *measure.Routes, hops int) func() bool {
	return func() bool {
		for _, a := range m {
			if c := w.Changes(host(a)); len(c) == 0 || c[len(c)-1].Hops != hops {
				return false
			}
		}
		return true
	}
}

// routes has many, and measures what a speaker takes with them, and how soon routers have them again from one that starts again.
func (b *routed) routes(ctx context.Context) error {
	all := many{}
	for i := range *services {
		b.last = b.last.Next()
		all[fmt.Sprintf("routes-%d", i)] = b.last
	}
	var cold []float64
	var used measure.Usage
	err := b.watching(lab.Router2, func(w *measure.Routes) error {
		if _, err := b.each(ctx, "routes-", len(all), func(ctx context.Context, name string) error { return b.join(ctx, name, all[name]) }); err != nil {
			return err
		}
		if err := b.until(ctx, "all routes", all.have(w, len(b.Nodes()))); err != nil {
			return err
		}
		var err error
		if used, err = quiet(ctx, gossiping, b.speakers); err != nil {
			return err
		}
		for range *runs {
			took, err := b.cold(ctx, w, all)
			if err != nil {
				return err
			}
			cold = append(cold, took.Seconds())
		}
		_, err = b.each(ctx, "routes-", len(all), b.delete)
		return err
	})
	if err != nil {
		return err
	}
	headingf("%d Services, each a route at two routers; then a speaker's pod is deleted, %d times.", len(all), *runs)
	row("RSS of the largest speaker", "120 MiB", "%.0f MiB", mib(used.RSS))
	row("the pod is deleted → another has announced all routes to BIRD again", "", "%.2f s", cold...)
	return nil
}

// cold deletes a speaker's pod, and returns how long after that BIRD has all its routes again: it drops those of a node whose BFD session
// ends.
func (b *routed) cold(ctx context.Context, w *measure.Routes, all many) (time.Duration, error) {
	pod := []string{"-n", lab.Namespace, "delete", "pod", "--field-selector", "spec.nodeName=node-1", "-l", "app.kubernetes.io/component=speaker"}
	begun := time.Now()
	if err := b.kubectl(ctx, [][]string{append(pod, "--wait=false")}); err != nil {
		return 0, err
	}
	if err := b.until(ctx, "the node's routes are gone", all.have(w, len(b.Nodes())-1)); err != nil {
		return 0, err
	}
	if err := b.until(ctx, "all routes again", all.have(w, len(b.Nodes()))); err != nil {
		return 0, err
	}
	return time.Since(begun), b.healthy(ctx)
}
