package assign

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/controller/place"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/metrics"
	"github.com/fairlead-lb/fairlead/ipam"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// Request asks for one Service or IPClaim to be looked at, or, where it names none, for
// the configuration.
type Request = ipam.Key

// configuration is the Request that the configuration has changed.
var configuration = Request{}

// Options are what a Reconciler needs.
type Options struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server: a new leader reads there before it decides.
	Live     client.Reader
	Recorder events.EventRecorder
	Class    kube.Class
	// Tenure is the time during which anything may be written; nil if it never ends.
	Tenure *kube.Tenure
	// Placer proposes who announces an address.
	Placer *place.Placer
	// Prepare is called before the first decision, when the Placer is to know the nodes.
	Prepare func(context.Context) error
	// PoolChanged is called with the name of a pool whose use may have changed. It must not block.
	PoolChanged func(name string)
	// Assigned, if set, is called when a Service has got its first address, with how long that took.
	Assigned func(took time.Duration)
}

// A Reconciler gives Services their addresses.
type Reconciler struct {
	Options
	ledger    ledger
	contested contested
	start     sync.Mutex
	// told are the Services, by name, whose users know that they are not served, with their UID.
	told sync.Map
	// refused are the objects, by key, of which the API server refuses the status, with what it says.
	refused sync.Map
	// released are the addresses that were given back.
	released released
	// arrived says since when Services want their first address, by Request.
	arrived sync.Map
	queue   workqueue.TypedRateLimitingInterface[Request]
}

// New returns a Reconciler that has read nothing yet.
func New(o Options) *Reconciler { return &Reconciler{Options: o} }

// Usage returns how much of a pool is in use, by family.
func (r *Reconciler) Usage(pool string) map[config.Family]ipam.Usage { return r.ledger.usage(pool) }

// Pools returns how much of all pools is in use.
func (r *Reconciler) Pools() []metrics.Pool { return r.ledger.pools() }

// Reconcile looks at one Service, or at the configuration.
func (r *Reconciler) Reconcile(ctx context.Context, req Request) (reconcile.Result, error) {
	if err := r.adopt(ctx); err != nil {
		return reconcile.Result{}, err
	}
	switch {
	case req == configuration:
		return reconcile.Result{}, r.reconfigure(ctx)
	case req == sightings:
		changed, err := r.contested.read(ctx, r.Client)
		r.first(changed)
		return reconcile.Result{}, err
	case req.Kind == ipam.Claim:
		return r.claim(ctx, req)
	default:
		return r.service(ctx, req)
	}
}

// adopt rebuilds the ledger before the first decision.
func (r *Reconciler) adopt(ctx context.Context) error {
	r.start.Lock()
	defer r.start.Unlock()
	if r.ledger.loaded() {
		return nil
	}
	if err := r.Prepare(ctx); err != nil {
		return err
	}
	snapshot, err := place.Snapshot(ctx, r.Live)
	if err != nil {
		return err
	}
	if _, err := r.contested.read(ctx, r.Live); err != nil {
		return err
	}
	var services corev1.ServiceList
	if err := r.Live.List(ctx, &services); err != nil {
		return fmt.Errorf("list Services: %w", err)
	}
	namespaces, err := r.namespaceLabels(ctx)
	if err != nil {
		return err
	}
	var claims v1beta1.IPClaimList
	if err := r.Live.List(ctx, &claims); err != nil {
		return fmt.Errorf("list IPClaims: %w", err)
	}
	requests := make([]ipam.Request, 0, len(services.Items)+len(claims.Items))
	for i := range services.Items {
		switch svc := &services.Items[i]; {
		case r.Class.Serves(svc):
			s := kube.ServiceOf(svc)
			r.Placer.Learn(announce.Key{Namespace: s.Namespace, Name: s.Name}, s.Record())
			requests = append(requests, r.requestOf(&s, namespaces[svc.Namespace]))
		case svc.Spec.Type == corev1.ServiceTypeLoadBalancer:
			requests = append(requests, ReservationOf(svc))
		}
	}
	for i := range claims.Items {
		c := &claims.Items[i]
		requests = append(requests, ClaimRequestOf(c, namespaces[c.Namespace]))
	}
	r.ledger.load(snapshot, requests)
	for _, p := range snapshot.Pools() {
		r.PoolChanged(p.Name)
	}
	return nil
}

func (r *Reconciler) namespaceLabels(ctx context.Context) (map[string]map[string]string, error) {
	list := kube.NamespaceList()
	if err := r.Client.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list Namespaces: %w", err)
	}
	out := make(map[string]map[string]string, len(list.Items))
	for i := range list.Items {
		out[list.Items[i].Name] = list.Items[i].Labels
	}
	return out, nil
}

// reconfigure applies the pools as they are now.
func (r *Reconciler) reconfigure(ctx context.Context) error {
	snapshot, err := place.Snapshot(ctx, r.Client)
	if err != nil {
		return err
	}
	r.spread(r.ledger.reconfigure(snapshot))
	return nil
}

// service gathers, decides and applies for one Service.
func (r *Reconciler) service(ctx context.Context, key ipam.Key) (reconcile.Result, error) {
	name := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
	var svc corev1.Service
	err := r.Client.Get(ctx, name, &svc)
	switch {
	case apierrors.IsNotFound(err):
		r.told.Delete(name)
		r.arrived.Delete(key)
		r.Placer.Learn(announce.Key(name), nil)
		r.spread(r.ledger.release(key))
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("get Service: %w", err)
	case svc.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return reconcile.Result{}, r.leave(ctx, key, &svc)
	case !r.Class.Serves(&svc):
		return r.unserved(ctx, key, &svc)
	}
	labels, err := r.labelsOf(ctx, svc.Namespace)
	if err != nil {
		return reconcile.Result{}, err
	}

	s := kube.ServiceOf(&svc)
	out := r.ledger.decide(r.requestOf(&s, labels))
	r.spread(out)
	if s.Terminating {
		return reconcile.Result{}, nil
	}

	after := svc.DeepCopy()
	render(after, out.Decision, out.from, time.Now())
	if !out.Foreign {
		kube.NoteAdopted(after, &s, out.Addresses)
		kube.Annotate(after, kube.AnnotationAnnouncers, kube.AnnouncersText(r.Placer.Place(&s, out.Addresses)))
	}
	note(&svc, after, &out, time.Now())
	done, err := r.write(ctx, &svc, after)
	if err != nil || done == outdated {
		return reconcile.Result{}, err
	}
	r.measure(key, &svc, after)
	if done == written {
		r.tell(after, transition(&svc, after, &out.Decision, out.pools()))
	}
	return r.giveBack(ctx, key, out, done, func(ctx context.Context) ([]string, error) {
		var live corev1.Service
		err := r.Live.Get(ctx, name, &live)
		return texts(addresses(&live)), client.IgnoreNotFound(err)
	})
}

func (r *Reconciler) requestOf(s *kube.Service, namespaceLabels map[string]string) ipam.Request {
	return RequestOf(s, namespaceLabels, r.contested.of(ipam.Key{Namespace: s.Namespace, Name: s.Name})...)
}

// giveBack frees what was lost, now that it is not shown any more. If nothing had to be
// written, the cache may only be late: then the API server is asked what is shown.
func (r *Reconciler) giveBack(
	ctx context.Context, key ipam.Key, out outcome, done result, live func(context.Context) ([]string, error),
) (reconcile.Result, error) {
	again := reconcile.Result{RequeueAfter: out.Retry}
	if len(out.leaving) == 0 {
		return again, nil
	}
	if done == same {
		shown, err := live(ctx)
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("read what is shown: %w", err)
		}
		if missing(shown, texts(out.Addresses)) {
			return reconcile.Result{RequeueAfter: catchUp}, nil
		}
	}
	r.spread(r.ledger.left(key, out.leaving))
	return again, nil
}

// catchUp is how long a newer version of a Service may be on its way here.
const catchUp = 20 * time.Millisecond

// leave removes what was written to a Service that is not of type LoadBalancer any more, its addresses too, and then gives back
// what it held.
func (r *Reconciler) leave(ctx context.Context, key ipam.Key, svc *corev1.Service) error {
	r.Placer.Learn(announce.Key{Namespace: key.Namespace, Name: key.Name}, nil)
	if kube.Touched(svc) {
		after := svc.DeepCopy()
		unrender(after)
		after.Status.LoadBalancer.Ingress = nil
		if done, err := r.write(ctx, svc, after); err != nil || done == outdated {
			return err
		}
	}
	r.spread(r.ledger.release(key))
	return nil
}

// spread tells the others what came of a decision.
func (r *Reconciler) spread(out outcome) {
	r.first(out.others)
	r.released.add(out.freed, time.Now())
	for _, p := range out.touched {
		r.PoolChanged(p)
	}
}

// first has some looked at before all others: what they may show has been decided already.
func (r *Reconciler) first(keys []ipam.Key) {
	if q, ok := r.queue.(priorityqueue.PriorityQueue[Request]); ok {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(1)}, keys...)
		return
	}
	for _, k := range keys {
		r.queue.Add(k)
	}
}

// result is what came of a write.
type result int

const (
	// same: there was nothing to write.
	same result = iota
	// written: the API server has it.
	written
	// outdated: the Service has changed since it was read, or is gone; what tells of
	// that is on its way here.
	outdated
)

// write patches the status of a Service, and the annotation with it, where they differ.
func (r *Reconciler) write(ctx context.Context, before, after *corev1.Service) (result, error) {
	if patch := patchOf(before, after); patch != nil {
		return r.writeStatus(ctx, before, after, patch)
	}
	return same, nil
}
