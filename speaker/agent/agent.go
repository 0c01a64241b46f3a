package agent

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	// Announced are the conditions of that name, as they were read, of the Services that have one.
	Announced map[announce.Key]*metav1.Condition
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
	// Apply is called with each decision. It must not block, nor change or keep the map.
	Apply func(Decided)
	// Seen is called when nothing about a Service has changed but its condition Announced. It must not block.
	Seen func(announce.Key, *metav1.Condition)
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

// decide owns the world: it takes changes and decides whenever they mean something.
func (a *Agent) decide(ctx context.Context) {
	w := newWorld(a.Node)
	synced := a.synced
	for {
		select {
		case <-ctx.Done():
			return
		case <-synced:
			synced = nil
		case change := <-a.changes:
			change(w)
		}
		a.drain(w)
		for synced == nil && w.dirty && ctx.Err() == nil {
			w.dirty = false
			start := time.Now()
			view := w.view()
			a.Apply(Decided{Plan: announce.Decide(w.config(), view), View: view, Links: w.links, Announced: w.announced})
			a.gather(ctx, w, min(restFactor*time.Since(start), maxRest))
		}
	}
}

// A decision is about the whole cluster, and so takes the longer the larger that is: after
// each, changes are gathered for some times as long, so that a burst of them costs a part
// of a processor, and a lone one is answered at once.
const (
	restFactor = 4
	maxRest    = 50 * time.Millisecond
)

// gather takes the changes that come in for a while.
func (a *Agent) gather(ctx context.Context, w *world, long time.Duration) {
	over := time.After(long)
	for {
		select {
		case change := <-a.changes:
			change(w)
		case <-over:
			return
		case <-ctx.Done():
			return
		}
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
