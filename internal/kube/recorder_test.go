package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func TestRecorder(t *testing.T) {
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web", UID: "u"}}
	pool := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "main"}}
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		var mu sync.Mutex // fake time alone orders nothing between goroutines
		var got []*eventsv1.Event
		away := 7 // each of four tries once, and three again
		client.PrependReactor("create", "events", func(a clienttesting.Action) (bool, runtime.Object, error) {
			e := a.(clienttesting.CreateAction).GetObject().(*eventsv1.Event)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case away > 0:
				away--
				return true, nil, errors.New("connection refused")
			case e.Reason == "Refused":
				return true, nil, apierrors.NewForbidden(eventsv1.Resource("events"), "", nil)
			}
			got = append(got, e)
			return true, e, nil
		})
		r := &Recorder{
			component: "c", instance: "c-1", client: client.EventsV1(), scheme: scheme,
			queue: make(chan *eventsv1.Event, 5), log: logr.Discard(),
		}
		for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
			r.Eventf(service, nil, "Normal", "IPAllocated", "Assign", "Assigned %s", address)
		}
		r.Eventf(service, nil, "Normal", "Refused", "Assign", "nobody wants to hear it")
		r.Eventf(pool, service, "Warning", "Overlap", "Judge", "%s", strings.Repeat("x", 2000))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Start(ctx) }()
		time.Sleep(gathering + time.Millisecond)
		synctest.Wait()
		mu.Lock()
		early := len(got)
		mu.Unlock()
		if early != 0 {
			t.Error("an event is written while the API server is away")
		}
		for _, reason := range []string{"Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Dropped"} { // five may wait
			r.Eventf(service, nil, "Normal", reason, "Assign", "more")
		}
		time.Sleep(time.Minute)
		r.Eventf(service, nil, "Normal", "Last", "Assign", "told though the process ends")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		var told []string
		for _, e := range got {
			if errs := validation.NameIsDNSSubdomain(e.Name, false); errs != nil || e.GenerateName != "" {
				t.Errorf("the API server refuses the name %q: %v", e.Name, errs)
			}
			told = append(told, e.Namespace+"/"+e.Regarding.Kind+"/"+e.Reason+": "+e.Note[:min(18, len(e.Note))])
		}
		want := []string{
			"default/IPAddressPool/Overlap: xxxxxxxxxxxxxxxxxx", "team/Service/Eighth: more", "team/Service/Fifth: more",
			"team/Service/IPAllocated: Assigned 192.0.2.1", "team/Service/IPAllocated: Assigned 192.0.2.2",
			"team/Service/Last: told though the pr", "team/Service/Ninth: more", "team/Service/Seventh: more", "team/Service/Sixth: more",
		}
		slices.Sort(told)
		if strings.Join(told, "\n") != strings.Join(want, "\n") {
			t.Errorf("told %q, want %q", told, want)
		}
		e := got[slices.IndexFunc(got, func(e *eventsv1.Event) bool { return e.Reason == "Overlap" })]
		if len(e.Note) != noteLimit || e.Related == nil || e.Related.Name != "web" || e.EventTime.IsZero() {
			t.Errorf("not a valid event: %+v", e)
		}
	})
}

// A process may end though the API server is away.
func TestRecorderEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
		r := &Recorder{client: client.EventsV1(), queue: make(chan *eventsv1.Event, 200), log: logr.Discard()}
		for range 200 {
			r.queue <- &eventsv1.Event{}
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		if err := r.Start(ctx); err != nil || time.Since(start) > time.Minute+farewell {
			t.Errorf("ended after %s: %v", time.Since(start), err)
		}
	})
}
