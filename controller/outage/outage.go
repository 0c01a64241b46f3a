package outage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/metrics"
)

// NodeLost is the reason in the condition Ready of the pods that are marked, and of the events.
const NodeLost = "FairleadNodeLost"

// catchUp is how long another replica may need for what both do.
const catchUp = 50 * time.Millisecond

// writers is how many pods are marked at the same time.
const writers = 16

// A Reconciler marks the pods of lost nodes.
type Reconciler struct {
	Client client.Client
	// Live lists the pods of one node: they are not kept.
	Live     client.Reader
	Class    kube.Class
	Recorder events.EventRecorder
	Metrics  *metrics.Outages

	episodes episodes
}

// SetupWithManager has the manager run the Reconciler, whether or not this replica leads.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	r.episodes = episodes{}
	everywhere := false
	one := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{{}} })
	return builder.ControllerManagedBy(mgr).Named("outage").
		Watches(&v1beta1.SpeakerStatus{}, one, builder.WithPredicates(Reported)).
		WithOptions(controller.Options{NeedLeaderElection: &everywhere, MaxConcurrentReconciles: 1}).
		Complete(r)
}

// Reported lets SpeakerStatuses through that report other nodes lost than before, or have another say.
var Reported = predicate.Funcs{UpdateFunc: reportsOther}

// LostNodes returns the nodes that are lost by what SpeakerStatuses say, sorted.
func LostNodes(speakers []v1beta1.SpeakerStatus) []string {
	reports := make([]Report, len(speakers))
	for i := range speakers {
		reports[i] = Report{Node: speakers[i].Name, Connected: connected(&speakers[i]), Lost: lostBy(&speakers[i])}
	}
	return Lost(len(reports), reports)
}

// reportsOther reports whether a speaker reports other nodes lost than before, or has other say.
func reportsOther(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1beta1.SpeakerStatus)
	after, also := e.ObjectNew.(*v1beta1.SpeakerStatus)
	return !ok || !also || connected(before) != connected(after) || !slices.Equal(lostBy(before), lostBy(after))
}

func connected(s *v1beta1.SpeakerStatus) bool {
	return meta.IsStatusConditionTrue(s.Status.Conditions, v1beta1.ConditionConnected)
}

func lostBy(s *v1beta1.SpeakerStatus) []string {
	var out []string
	for _, n := range s.Status.LostNodes {
		out = append(out, n.Name)
	}
	return out
}

// Reconcile finds out which nodes are lost, and marks the pods of those that are new.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var speakers v1beta1.SpeakerStatusList
	if err := r.Client.List(ctx, &speakers); err != nil {
		return reconcile.Result{}, fmt.Errorf("list SpeakerStatuses: %w", err)
	}
	since := map[string]time.Time{}
	for i := range speakers.Items {
		for _, n := range speakers.Items[i].Status.LostNodes {
			if t := since[n.Name]; t.IsZero() || n.Since.Time.Before(t) {
				since[n.Name] = n.Since.Time
			}
		}
	}
	mark, again := r.episodes.due(LostNodes(speakers.Items), time.Now())
	var errs []error
	for _, node := range mark {
		err := r.mark(ctx, node, since[node])
		switch {
		case apierrors.IsConflict(err): // look again
			again = catchUp
			continue
		case apierrors.IsForbidden(err): // the rule was taken away, and with it what is to be done
			log.FromContext(ctx).Error(err, "the pods of a lost node stay in rotation: see --mark-lost-nodes", "node", node)
		case err != nil:
			errs = append(errs, err)
			continue
		}
		r.episodes.done(node, time.Now())
	}
	return reconcile.Result{RequeueAfter: again}, errors.Join(errs...)
}

// served are the Services that select pods of a namespace.
type served map[string][]*corev1.Service

// mark marks the pods on a node that Services of ours select.
func (r *Reconciler) mark(ctx context.Context, name string, since time.Time) error {
	services, err := r.services(ctx)
	if err != nil {
		return err
	}
	var pods corev1.PodList
	if err := r.Live.List(ctx, &pods, client.MatchingFields{"spec.nodeName": name}); err != nil {
		return fmt.Errorf("list the pods of node %s: %w", name, err)
	}
	var mu sync.Mutex
	marked := map[*corev1.Service]int{}
	all, patching := errgroup.WithContext(ctx)
	all.SetLimit(writers)
	for i := range pods.Items {
		pod := &pods.Items[i]
		of := services.of(pod)
		if len(of) == 0 || !kube.PodReady(pod) {
			continue
		}
		all.Go(func() error {
			if err := r.patch(patching, pod, name); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, svc := range of {
				marked[svc]++
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil || len(marked) == 0 {
		return err
	}
	r.tell(ctx, name, since, marked)
	return nil
}

// services are those that Fairlead serves and that select pods, by namespace.
func (r *Reconciler) services(ctx context.Context) (served, error) {
	var list corev1.ServiceList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Services: %w", err)
	}
	out := served{}
	for i := range list.Items {
		if s := &list.Items[i]; r.Class.Serves(s) && len(s.Spec.Selector) > 0 {
			out[s.Namespace] = append(out[s.Namespace], s)
		}
	}
	return out, nil
}

// of returns the Services that select a pod.
func (s served) of(pod *corev1.Pod) []*corev1.Service {
	var out []*corev1.Service
	for _, svc := range s[pod.Namespace] {
		if labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			out = append(out, svc)
		}
	}
	return out
}

// patch marks one pod, as it was read: another replica may have done so meanwhile.
func (r *Reconciler) patch(ctx context.Context, pod *corev1.Pod, node string) error {
	text, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": pod.ResourceVersion},
		"status": map[string]any{"conditions": []corev1.PodCondition{{
			Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.Now(),
			Reason: NodeLost, Message: "node " + node + " is lost: most of Fairlead's speakers report that neither its speaker nor its kernel answers",
		}}},
	})
	if err != nil {
		return err
	}
	err = r.Client.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, text))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("mark pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// tell says what was done.
func (r *Reconciler) tell(ctx context.Context, name string, since time.Time, marked map[*corev1.Service]int) {
	took := time.Since(since)
	if since.IsZero() {
		took = 0
	}
	pods := 0
	for svc, n := range marked {
		pods += n
		r.Recorder.Eventf(svc, nil, corev1.EventTypeWarning, NodeLost, "MarkNotReady", "node %s is lost: %d pods on it are taken out of rotation", name, n)
	}
	r.Metrics.Marked(pods, took)
	log.FromContext(ctx).Info("took the pods of a lost node out of rotation", "node", name, "services", len(marked), "after", took.String())
	var node corev1.Node
	if err := r.Client.Get(ctx, types.NamespacedName{Name: name}, &node); err == nil {
		r.Recorder.Eventf(&node, nil, corev1.EventTypeWarning, NodeLost, "MarkNotReady",
			"most speakers report that neither its speaker nor its kernel answers: pods of %d Services on it are taken out of rotation", len(marked))
	}
}
