package agent

import (
	"context"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// Decided is a decision and what it was made upon.
type Decided struct {
	Plan announce.Plan
	View announce.View
	// Links of this node.
	Links []link.Link
	// Services as they were read, by name.
	Services map[announce.Key]kube.Service
}

// Options are what an Agent needs.
type Options struct {
	// Node is the name of this node.
	Node  string
	Class kube.Class
	// IgnoreExclude: the label node.kubernetes.io/exclude-from-external-load-balancers is not honoured.
	IgnoreExclude bool
	// Namespace and Service name the headless Service whose endpoints are the speakers.
	Namespace, Service string
	Log                logr.Logger
	// Apply is called with each decision. It must not block, nor change or keep the maps.
	Apply func(Decided)
}

// An Agent keeps this node's drivers doing what they should.
type Agent struct {
	Options
	changes chan func(*world)
	synced  chan struct{}
}

// New returns an Agent that knows nothing yet.
func New(o Options) *Agent {
	return &Agent{Options: o, changes: make(chan func(*world), 256), synced: make(chan struct{})}
}

// NeedLeaderElection reports that every speaker runs its own Agent.
func (a *Agent) NeedLeaderElection() bool { return false }

// Start watches the links and decides until ctx ends.
func (a *Agent) Start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return link.Watch(ctx, a.Log.WithName("link"), func(links []link.Link) {
			a.send(ctx, func(w *world) { w.links, w.dirty = links, true })
		})
	})
	group.Go(func() error {
		a.decide(ctx)
		return nil
	})
	return group.Wait()
}

// send hands a change to the goroutine that owns the world.
func (a *Agent) send(ctx context.Context, change func(*world)) {
	select {
	case a.changes <- change:
	case <-ctx.Done():
	}
}

func (a *Agent) decide(ctx context.Context) {
	w := newWorld(a.Node)
	synced := a.synced
	ready := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-synced:
			ready, synced = true, nil
		case change := <-a.changes:
			change(w)
		}
		a.drain(w)
		if !ready || !w.dirty {
			continue
		}
		w.dirty = false
		view := w.view()
		a.Apply(Decided{Plan: announce.Decide(w.config(), view), View: view, Links: w.links, Services: w.services})
	}
}

// drain takes all changes that have come in, so that they are decided upon together.
func (a *Agent) drain(w *world) {
	for {
		select {
		case change := <-a.changes:
			change(w)
		default:
			return
		}
	}
}

// Alive returns nil if decisions are still being made: if the goroutine that makes them
// answers before ctx ends.
func (a *Agent) Alive(ctx context.Context) error {
	answered := make(chan struct{})
	a.send(ctx, func(*world) { close(answered) })
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
