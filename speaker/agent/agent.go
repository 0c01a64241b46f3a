package agent

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// Decided is a decision and what it was made upon. Nothing in it is to be changed.
type Decided struct {
	// Tasks of this node, by address.
	Tasks []announce.Task
	// Links of this node.
	Links []link.Link
	// IPVS: the node has an interface link.IPVS.
	IPVS bool
	// Nodes are all nodes, sorted.
	Nodes []announce.Node
	// Changed are the Services of which something else holds now than before.
	Changed []Change
	// Self is this node's address, and Peers are those of the other nodes that have had a speaker.
	Self  netip.Addr
	Peers map[string]netip.Addr
	// Isolated: no link leads to the other nodes.
	Isolated bool
	// Key is that of what the speakers say to each other; nil while there is none.
	Key []byte
	// Conflicts are the addresses that hosts outside of the cluster use, as this node has found, sorted.
	Conflicts []kube.Conflict
	// BGP are the routers that this node is to have sessions with, by name, and Routes what it announces there that has changed
	// since the last decision.
	BGP    []BGPPeer
	Routes []announce.Route
	// Gained are the addresses that this node is to announce, and did not announce before this decision.
	Gained []Gain
	// Passing is what this node does with packets that are not for kube-proxy; the same as before where nothing has changed, and nil
	// where it is to do nothing.
	Passing *announce.Passing
	// Again grows when all that is announced is to be announced again.
	Again uint64
}

// A Change is what holds of a Service now.
type Change struct {
	Service announce.Key
	// Of are its addresses, in its order; empty if it has none any more.
	Of []announce.Announcement
	// Announced is its condition of that name, and Record what is recorded, as they were read.
	Announced *metav1.Condition
	Record    map[netip.Addr][]string
	// InUse are the addresses that have been announced, and Contested is whether it says that another host uses one of
	// them, as they were read.
	InUse     []netip.Addr
	Contested bool
	// Conflicts are those of its addresses that are known, sorted.
	Conflicts []kube.Conflict
}

// Options are what an Agent needs.
type Options struct {
	// Node is the name of this node.
	Node  string
	Class kube.Class
	// IgnoreExclude: the label node.kubernetes.io/exclude-from-external-load-balancers is not honoured.
	IgnoreExclude bool
	// YieldCordoned: a node that is cordoned hands over what it announces.
	YieldCordoned bool
	// Drain is for how long a node that is to lose what it announces says so to routers (RFC 8326) before it withdraws its routes.
	Drain time.Duration
	// KeepConnections is for how long a node that has handed over an address may still have connections of it; 0: they are not kept.
	KeepConnections time.Duration
	// AnswerPing: echo requests for the addresses that this node announces are answered.
	AnswerPing bool
	// Namespace and Service name the headless Service whose endpoints are the speakers.
	Namespace, Service string
	Log                logr.Logger
	// Apply is called with each decision. It must not block.
	Apply func(Decided)
	// Seen is called when nothing about a Service has changed but its condition Announced. It must not block.
	Seen func(k announce.Key, announced *metav1.Condition, record map[netip.Addr][]string, inUse []netip.Addr)
	// Ask asks another speaker whether it announces an address; its answer is given to Answered. It must not block.
	Ask func(node string, a netip.Addr)
	// Duplicate is called when another node says that it announces what this one does. It must not block.
	Duplicate func(node string)
}

// An Agent keeps this node's drivers doing what they should.
type Agent struct {
	Options
	changes chan func(*world)
	synced  chan struct{}
	// mail are changes of those who may not be blocked, and mailed says that there are some.
	mu     sync.Mutex
	mail   []func(*world)
	mailed chan struct{}
}

// New returns an Agent that knows nothing yet.
func New(o Options) *Agent {
	return &Agent{Options: o, changes: make(chan func(*world), 256), synced: make(chan struct{}), mailed: make(chan struct{}, 1)}
}

// NeedLeaderElection reports that every speaker runs its own Agent.
func (a *Agent) NeedLeaderElection() bool { return false }

// Start watches the links and decides until ctx ends.
func (a *Agent) Start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return link.Watch(ctx, a.Log.WithName("link"), func(links []link.Link, ipvs bool) {
			a.send(ctx, func(w *world) { w.links, w.ipvs, w.all = links, ipvs, true })
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

// post is send for those who may not be blocked, as drivers that report what they have seen.
func (a *Agent) post(change func(*world)) {
	a.mu.Lock()
	a.mail = append(a.mail, change)
	a.mu.Unlock()
	select {
	case a.mailed <- struct{}{}:
	default:
	}
}

// open makes the changes that were posted.
func (a *Agent) open(w *world) {
	a.mu.Lock()
	mail := a.mail
	a.mail = nil
	a.mu.Unlock()
	for _, change := range mail {
		w.take(change)
	}
}

// decide owns the world and the plan: it takes changes and decides whenever they mean something.
func (a *Agent) decide(ctx context.Context) {
	w, p := newWorld(a.Node), newPlan(a.Node, a.Drain, a.KeepConnections, a.AnswerPing)
	w.announces = p.announces
	synced := a.synced
	var over <-chan time.Time
	var again uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-synced:
			synced = nil
		case change := <-a.changes:
			w.take(change)
		case <-a.mailed:
		case <-over:
		}
		a.drain(w)
		if synced != nil {
			continue
		}
		for now := time.Now(); ctx.Err() == nil; now = time.Now() {
			w.forget(now)
			for _, q := range w.recovery.questions(now) {
				a.Ask(q.node, q.addr)
			}
			if lapsed := p.expire(now); !lapsed && !w.dirty() && w.recovery.again == again {
				break
			}
			again = w.recovery.again
			a.Apply(a.decided(w, p, now))
			a.gather(ctx, w, min(restFactor*time.Since(now), maxRest))
		}
		over = nil
		if next := earliest(w.recollect(), p.lapse()); !next.IsZero() {
			over = time.After(time.Until(next))
		}
	}
}

// earliest returns the earlier of two times; a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// decided decides upon what has changed.
func (a *Agent) decided(w *world, p *plan, now time.Time) Decided {
	w.recovery.isolate(isolated(w.links, w.addressOf(w.self)), now)
	nodes := w.view()
	d := Decided{Nodes: nodes, Links: w.links, IPVS: w.ipvs, Key: w.key, Again: w.recovery.again, Conflicts: w.own()}
	for _, k := range p.decide(w, nodes, now) {
		d.Changed = append(d.Changed, p.change(w, k))
	}
	w.recovery.note(p.tasks)
	d.Tasks = p.work(&w.recovery)
	d.Self, d.Peers = w.addresses()
	d.BGP, d.Routes, d.Gained = w.peers(p.routing.table.Peers()), p.routes, p.gains
	d.Passing = p.keeping.passing()
	d.Isolated = w.recovery.isolated
	return d
}

// gather takes the changes that come in for a while.
func (a *Agent) gather(ctx context.Context, w *world, long time.Duration) {
	over := time.After(long)
	for {
		select {
		case change := <-a.changes:
			w.take(change)
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// drain takes all changes that have come in, so that they are decided upon together.
func (a *Agent) drain(w *world) {
	a.open(w)
	for {
		select {
		case change := <-a.changes:
			w.take(change)
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
