package status

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// writers is how many statuses are written at the same time.
const writers = 4

// slowest is how rarely, at least, a write is tried that fails again and again.
const slowest = 5 * time.Second

// disagree is how long to wait before what another speaker has written is written over: two that see different things must not
// write in turns all the time.
const disagree = time.Second

// catchUp is how long a newer version of a Service may be on its way here.
const catchUp = 20 * time.Millisecond

// A Writer writes the conditions of Services.
type Writer struct {
	client   client.Client
	recorder events.EventRecorder
	node     string
	log      logr.Logger

	queue workqueue.TypedRateLimitingInterface[announce.Key]
	mu    sync.Mutex
	// reports are on what is to be said now, of the Services that this node reports on, and nodes are all that there are now.
	reports map[announce.Key]subject
	nodes   []announce.Node
	// contested are the Services of whose addresses this node has seen another host use some, or had, with all that is known of
	// such hosts.
	contested map[announce.Key][]kube.Conflict
}

// An Update is what holds of a Service now.
type Update struct {
	Service announce.Key
	// Of are its addresses; empty if it has none any more.
	Of []announce.Announcement
	// Announced is its condition of that name, and Record what is recorded, as they were read.
	Announced *metav1.Condition
	Record    map[netip.Addr][]string
	InUse     []netip.Addr
	// Contested: it says, as it was read, that another host uses an address of it.
	Contested bool
	// Conflicts are all of its addresses that are known, sorted, those that other nodes have found too.
	Conflicts []kube.Conflict
}

// NewWriter returns a Writer for a node.
func NewWriter(c client.Client, recorder events.EventRecorder, node string, log logr.Logger) *Writer {
	return &Writer{
		client: c, recorder: recorder, node: node, log: log, reports: map[announce.Key]subject{}, contested: map[announce.Key][]kube.Conflict{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[announce.Key](5*time.Millisecond, slowest)),
	}
}

// Set says what has changed. It does not block.
func (w *Writer) Set(updates []Update, nodes []announce.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = nodes
	for i := range updates {
		u := &updates[i]
		was, had := w.contested[u.Service]
		own := slices.ContainsFunc(u.Conflicts, func(c kube.Conflict) bool { return c.Node == w.node })
		switch {
		case own || had && len(was) > 0:
			w.contested[u.Service] = u.Conflicts
			if !slices.Equal(was, u.Conflicts) {
				w.queue.Add(u.Service)
			}
		case had:
			delete(w.contested, u.Service)
		}
		if !isReporter(u.Of, nodes, w.node) {
			delete(w.reports, u.Service)
			continue
		}
		before, known := w.reports[u.Service]
		now := subject{u.Of, u.Conflicts}
		w.reports[u.Service] = now
		r := now.report()
		switch says := r.Says(u.Announced, u.Record, u.InUse); {
		case !says && known && r.equal(before.report()):
			w.queue.AddAfter(u.Service, disagree)
		case !says, u.Contested && len(u.Conflicts) == 0:
			w.queue.Add(u.Service)
		}
	}
}

// Seen has a Service written again if it does not say what it should: another speaker, which
// knew less, may have written it.
func (w *Writer) Seen(k announce.Key, c *metav1.Condition, record map[netip.Addr][]string, inUse []netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if about, ok := w.reports[k]; ok {
		if r := about.report(); !r.Says(c, record, inUse) {
			w.queue.AddAfter(k, disagree)
		}
	}
}

// NeedLeaderElection reports that every speaker writes for its own node.
func (w *Writer) NeedLeaderElection() bool { return false }

// Start writes until ctx ends. What cannot be written is tried again, ever more slowly.
func (w *Writer) Start(ctx context.Context) error {
	var group errgroup.Group
	for range writers {
		group.Go(func() error {
			for w.next(ctx) {
			}
			return nil
		})
	}
	<-ctx.Done()
	w.queue.ShutDown()
	return group.Wait()
}

func (w *Writer) next(ctx context.Context) bool {
	k, shutdown := w.queue.Get()
	if shutdown {
		return false
	}
	defer w.queue.Done(k)
	if err := w.write(ctx, k); err != nil {
		w.log.Info("could not write the condition of a Service, trying again", "service", k.String(), "reason", err.Error())
		w.queue.AddRateLimited(k)
		return true
	}
	w.queue.Forget(k)
	return true
}

// write says of a Service what is to be said now.
func (w *Writer) write(ctx context.Context, k announce.Key) error {
	w.mu.Lock()
	about, reports := w.reports[k]
	conflicts, contested := w.contested[k]
	nodes := w.nodes
	w.mu.Unlock()
	if !reports && !contested {
		return nil // another node reports by now
	}
	var svc corev1.Service
	if err := w.client.Get(ctx, types.NamespacedName{Namespace: k.Namespace, Name: k.Name}, &svc); err != nil {
		return client.IgnoreNotFound(err)
	}
	after := svc.DeepCopy()
	var events []event
	if reports {
		r := about.report()
		events, conflicts = r.render(after, nodes), r.conflicts
	}
	events = append(events, renderConflicts(after, w.node, conflicts)...)
	if equality.Semantic.DeepEqual(svc.Status, after.Status) && maps.Equal(svc.Annotations, after.Annotations) {
		return nil
	}
	// With a lock on the version, so that what an event reports happened just now:
	// the Service as it was read may be older than what this node wrote last.
	patch := client.StrategicMergeFrom(&svc, client.MergeFromWithOptimisticLock{})
	switch err := w.client.Status().Patch(ctx, after, patch); {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		w.queue.AddAfter(k, catchUp)
		return nil
	case err != nil:
		return fmt.Errorf("patch status: %w", err)
	}
	for _, e := range events {
		w.recorder.Eventf(after, nil, e.kind, e.reason, "Announce", "%s", e.message)
	}
	return nil
}
