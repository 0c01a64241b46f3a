package kube

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/client-go/tools/reference"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// A Recorder writes events (events.k8s.io/v1), a moment later. It is an
// events.EventRecorder that counts no repetitions: client-go's takes two events for one if
// only their texts differ, and so would report the first address of a Service alone; and it keeps each
// for six minutes to do so. Fairlead reports transitions only.
type Recorder struct {
	component, instance string
	client              eventsclient.EventsV1Interface
	scheme              *runtime.Scheme
	queue               chan *eventsv1.Event
	dropped             atomic.Uint64
	log                 logr.Logger
}

// Dropped returns how many events were not written, as too many waited or the API server refused them.
func (r *Recorder) Dropped() uint64 { return r.dropped.Load() }

const (
	// pending is how many events wait to be written at most; more are dropped, and that is logged.
	pending = 4096
	// gathering is how long an event waits for others to be written with it, and together how many those are at most. To be
	// woken for each answer takes four times the CPU of all else that is done for an event.
	gathering = 200 * time.Millisecond
	together  = 64
	// noteLimit is the API's: more bytes are refused.
	noteLimit = 1024
	// farewell is how long those may take that wait when the process ends.
	farewell = 2 * time.Second
)

// NewRecorder returns a Recorder for a component, and has a manager run it.
func NewRecorder(mgr manager.Manager, component string) (*Recorder, error) {
	client, err := eventsclient.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	r := &Recorder{
		component: component, instance: component + "-" + host, client: client, scheme: mgr.GetScheme(),
		queue: make(chan *eventsv1.Event, pending), log: mgr.GetLogger().WithName("events"),
	}
	return r, mgr.Add(r)
}

// NeedLeaderElection says that every replica may have events to tell.
func (*Recorder) NeedLeaderElection() bool { return false }

// Eventf has an event written. It does not block.
func (r *Recorder) Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any) {
	e, err := r.event(regarding, related)
	if err != nil {
		r.log.Error(err, "an event about an unknown object", "reason", reason)
		return
	}
	text := fmt.Sprintf(note, args...)
	e.Type, e.Reason, e.Action, e.Note = eventtype, reason, action, text[:min(len(text), noteLimit)]
	select {
	case r.queue <- e:
	default:
		r.dropped.Add(1)
		r.log.Info("an event is dropped, as too many wait", "reason", reason, "note", e.Note)
	}
}

func (r *Recorder) event(regarding, related runtime.Object) (*eventsv1.Event, error) {
	about, err := reference.GetReference(r.scheme, regarding)
	if err != nil {
		return nil, err
	}
	now := metav1.NowMicro()
	e := &eventsv1.Event{
		// The API server would not take "NAME." to generate a name from. A name of ours also
		// keeps an event single whose first answer was lost.
		ObjectMeta:          metav1.ObjectMeta{Name: util.GenerateEventName(about.Name, now.UnixNano()), Namespace: about.Namespace},
		EventTime:           now,
		ReportingController: r.component, ReportingInstance: r.instance,
		Regarding: *about,
	}
	if e.Namespace == "" {
		e.Namespace = metav1.NamespaceDefault
	}
	if related != nil {
		if e.Related, err = reference.GetReference(r.scheme, related); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Start writes events until ctx ends, and then those that wait already.
func (r *Recorder) Start(ctx context.Context) error {
	writing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() { time.AfterFunc(farewell, cancel) })
	for {
		var e *eventsv1.Event
		select {
		case e = <-r.queue:
		default:
			select {
			case e = <-r.queue:
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-time.After(gathering):
		case <-ctx.Done():
		}
		r.flush(writing, e)
	}
}

// flush writes an event, and with it those that wait.
func (r *Recorder) flush(ctx context.Context, first *eventsv1.Event) {
	batch := []*eventsv1.Event{first}
	for len(batch) < together && len(r.queue) > 0 { // nobody else reads
		batch = append(batch, <-r.queue)
	}
	var all sync.WaitGroup
	for _, e := range batch {
		all.Go(func() { r.write(ctx, e) })
	}
	all.Wait()
}

// write writes an event, however long the API server is away.
func (r *Recorder) write(ctx context.Context, e *eventsv1.Event) {
	for {
		_, err := r.client.Events(e.Namespace).Create(ctx, e, metav1.CreateOptions{})
		switch {
		case err == nil, apierrors.IsAlreadyExists(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			return
		case apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
			r.dropped.Add(1)
			r.log.Error(err, "an event is refused", "reason", e.Reason, "note", e.Note)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.Jitter(pause, 1)):
		}
	}
}
