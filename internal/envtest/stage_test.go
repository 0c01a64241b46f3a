//go:build linux

package envtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// stage is what a test plays on: no objects but its own, and a controller.
type stage struct {
	*testing.T
	api client.WithWatch
	ns  string
	// ctl is the controller that runs, if one does.
	ctl *controller
	// probe is a Service that asks for one pool after another, none of which exists:
	// when its condition has followed, the controller has seen all that came before.
	probe  *corev1.Service
	probed int
	// unserved are the versions of the Services that nobody may write to, by name.
	unserved map[string]string
}

// errNotYet is why something is waited for.
var errNotYet = errors.New("not yet")

var stages int

// newStage clears the API server and makes a namespace.
func newStage(t *testing.T) *stage {
	t.Helper()
	if shared == nil {
		t.Skip("starts an API server: not with -short")
	}
	stages++
	s := &stage{T: t, api: shared.api, ns: fmt.Sprintf("stage-%d", stages), unserved: map[string]string{}}
	s.clear()
	s.must(s.api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.ns}}))
	s.probe = &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "probe", Annotations: map[string]string{kube.AnnotationPool: "probe-0"}},
		Spec:       loadBalancer(),
	}
	s.must(s.api.Create(t.Context(), s.probe))
	return s
}

// clear removes everything that a stage before may have left.
func (s *stage) clear() {
	s.Helper()
	ctx := s.Context()
	var services corev1.ServiceList
	s.must(s.api.List(ctx, &services))
	for i := range services.Items {
		svc := &services.Items[i]
		if svc.Namespace == metav1.NamespaceDefault && svc.Name == "kubernetes" {
			continue
		}
		if len(svc.Finalizers) > 0 {
			before := svc.DeepCopy()
			svc.Finalizers = nil
			s.must(client.IgnoreNotFound(s.api.Patch(ctx, svc, client.MergeFrom(before))))
		}
		s.must(client.IgnoreNotFound(s.api.Delete(ctx, svc)))
	}
	s.must(s.api.DeleteAllOf(ctx, &v1beta1.IPAddressPool{}))
	s.must(s.api.DeleteAllOf(ctx, &v1beta1.L2Advertisement{}))
	s.must(s.api.DeleteAllOf(ctx, &corev1.Node{}))
	s.must(s.api.DeleteAllOf(ctx, &v1beta1.SpeakerStatus{}))
	var claims v1beta1.IPClaimList
	s.must(s.api.List(ctx, &claims))
	for i := range claims.Items {
		s.must(client.IgnoreNotFound(s.api.Delete(ctx, &claims.Items[i])))
	}
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// within waits until something is so, and fails with why it is not.
func (s *stage) within(limit time.Duration, what string, is func() error) {
	s.Helper()
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(10 * time.Millisecond) {
		if err = is(); err == nil {
			return
		}
	}
	s.Fatalf("%s: not within %s: %v", what, limit, err)
}

// told returns an error unless a Service has been told something so many times.
func (s *stage) told(name, reason string, times int) error {
	s.Helper()
	var all eventsv1.EventList
	s.must(s.api.List(s.Context(), &all, client.InNamespace(s.ns)))
	n := 0
	for i := range all.Items {
		if e := &all.Items[i]; e.Regarding.Name == name && e.Reason == reason {
			n++
		}
	}
	if n != times {
		return fmt.Errorf("%d events %s for %s, want %d", n, reason, name, times)
	}
	return nil
}

// objects returns all that the controller may write to, but for the probe.
func (s *stage) objects() []client.Object {
	s.Helper()
	var services corev1.ServiceList
	var pools v1beta1.IPAddressPoolList
	var l2 v1beta1.L2AdvertisementList
	var claims v1beta1.IPClaimList
	ctx := s.Context()
	s.must(errors.Join(s.api.List(ctx, &services), s.api.List(ctx, &pools), s.api.List(ctx, &l2), s.api.List(ctx, &claims)))
	var out []client.Object
	for i := range services.Items {
		if svc := &services.Items[i]; svc.UID != s.probe.UID {
			out = append(out, svc)
		}
	}
	for i := range pools.Items {
		out = append(out, &pools.Items[i])
	}
	for i := range l2.Items {
		out = append(out, &l2.Items[i])
	}
	for i := range claims.Items {
		out = append(out, &claims.Items[i])
	}
	return out
}

// versions tells every object's resourceVersion.
func (s *stage) versions() map[string]string {
	s.Helper()
	out := map[string]string{}
	for _, o := range s.objects() {
		out[fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName())] = o.GetResourceVersion()
	}
	return out
}

// Times for which nothing must change to be called settled. Counts of pools are
// written some 300 ms late.
const (
	briefly = 200 * time.Millisecond
	surely  = 700 * time.Millisecond
)

// settle waits until the controller has seen everything, and nothing has changed for a while.
func (s *stage) settle(still time.Duration) map[string]string {
	s.Helper()
	s.ask()
	last, since := s.versions(), time.Now()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		now := s.versions()
		if !cmp.Equal(last, now) {
			last, since = now, time.Now()
		} else if time.Since(since) >= still {
			return now
		}
	}
	s.Fatalf("does not come to rest within %s", patience)
	return nil
}

// ask has the controller answer the probe.
func (s *stage) ask() {
	s.Helper()
	s.probed++
	name := fmt.Sprintf("probe-%d", s.probed)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, kube.AnnotationPool, name)
	s.must(s.api.Patch(s.Context(), s.probe.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch))))
	s.within(patience, "controller answers", func() error {
		if s.ctl != nil && !s.ctl.alive() {
			s.Fatalf("the controller has ended: %v\n%s", s.ctl.err, s.ctl.tail())
		}
		var svc corev1.Service
		s.must(s.api.Get(s.Context(), client.ObjectKeyFromObject(s.probe), &svc))
		c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAssigned)
		if c == nil || !strings.HasSuffix(c.Message, " "+name) {
			return fmt.Errorf("condition is %v", c)
		}
		return nil
	})
}

// start runs a controller without an election.
func (s *stage) start(args ...string) {
	s.Helper()
	s.ctl = launch(s.T, append([]string{"--leader-elect=false", "--log-level=warn"}, args...)...)
}

// stop ends the controller, as when it is replaced.
func (s *stage) stop() {
	s.Helper()
	if err := s.ctl.stop(); err != nil {
		s.Errorf("the controller ended with %v\n%s", err, s.ctl.tail())
	}
	s.ctl = nil
}

// idle checks that nothing is written while nothing happens, nor by a controller that starts again.
func (s *stage) idle(d time.Duration) {
	s.Helper()
	before := s.settle(surely)
	time.Sleep(d)
	if diff := cmp.Diff(before, s.versions()); diff != "" {
		s.Errorf("written without a reason (-before +after):\n%s", diff)
	}
	s.stop()
	s.start()
	if diff := cmp.Diff(before, s.settle(surely)); diff != "" {
		s.Errorf("written by a controller that starts (-before +after):\n%s", diff)
	}
}

// get reads a Service of the stage.
func (s *stage) get(name string) *corev1.Service {
	s.Helper()
	var svc corev1.Service
	s.must(s.api.Get(context.Background(), client.ObjectKey{Namespace: s.ns, Name: name}, &svc))
	return &svc
}

func loadBalancer() corev1.ServiceSpec {
	return corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}
}

func keyOf(s *stage, name string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.ns, Name: name}
}
