//go:build linux

package envtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// An address goes from a Service that asks for another to one that waits, again
// and again: the second must not show it before the first has ceased to.
func TestHandOver(t *testing.T) {
	s := newStage(t)
	for _, do := range []step{
		started(), pool("a", "192.0.2.1"), pool("b", "198.51.100.1", onlyOnRequest),
		service("one", fromPool("a")), has("one", "192.0.2.1"),
	} {
		do(s)
	}
	w := watch(s)
	const rounds = 20
	w.touch(keyOf(s, "one"))
	for range rounds {
		service("two")(s)
		s.ask()
		edit("one", fromPool("b"))(s)
		s.awaits("one", "198.51.100.1")
		s.awaits("two", "192.0.2.1")
		remove("two")(s)
		edit("one", fromPool("a"))(s)
		s.awaits("one", "192.0.2.1")
	}
	// The watch may be behind what was asked of the API server.
	for before := -1; before != w.events(); time.Sleep(300 * time.Millisecond) {
		before = w.events()
	}
	if faults := w.rest(); len(faults) > 0 {
		t.Errorf("in %d rounds: %v\n%s", rounds, faults, w.story(8*rounds))
	}
}

// awaits waits until a Service shows an IPv4 address.
func (s *stage) awaits(name, ip string) {
	s.Helper()
	s.within(patience, name+" shows "+ip, func() error {
		if shown := shownOf(s.get(name), v4); shown != ip {
			return fmt.Errorf("it shows %q", shown)
		}
		return nil
	})
}

// A leader that is paused, and goes on when another leads, writes nothing and ends.
func TestPausedLeader(t *testing.T) {
	s := newStage(t)
	old, next := launch(t, hasty...), launch(t, hasty...)
	s.within(patience, "one of two leads", func() error {
		if next.leads() {
			old, next = next, old
		}
		if !old.leads() {
			return errNotYet
		}
		return nil
	})
	s.ctl = next
	// Those of one second are served by name.
	for _, do := range []step{
		pool("a", "192.0.2.1"), service("first"), has("first", "192.0.2.1"), service("second"), lacks("second", "PoolExhausted"),
		service("third"), lacks("third", "PoolExhausted"),
	} {
		do(s)
	}
	w := watch(s)
	old.pause()
	remove("first")(s)
	s.within(patience, "the other leads", func() error {
		if !next.leads() {
			return errNotYet
		}
		return nil
	})
	s.awaits("second", "192.0.2.1")
	w.touch(keyOf(s, "second"))
	edit("second", ofType(corev1.ServiceTypeClusterIP))(s)
	s.awaits("third", "192.0.2.1")
	edit("second", ofType(corev1.ServiceTypeLoadBalancer))(s)
	lacks("second", "PoolExhausted")(s)

	old.resume()
	select {
	case <-old.gone:
	case <-time.After(patience):
		t.Fatalf("the old leader goes on")
	}
	has("third", "192.0.2.1")(s)
	lacks("second", "PoolExhausted")(s)
	if faults := w.rest(); len(faults) > 0 {
		t.Errorf("%v\n%s", faults, w.story(40))
	}
}

// An admission policy that refuses the status of one Service: it is told so, once, what it
// would show stays its own, and nobody else waits.
func TestRefusedStatus(t *testing.T) {
	s := newStage(t)
	everything := admissionregistrationv1.MatchResources{
		ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"services/status"}},
		}}},
	}
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "refuse"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &everything,
			Validations:      []admissionregistrationv1.Validation{{Expression: `object.metadata.name != "refused"`, Message: "not this one"}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "refuse"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "refuse", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
	s.must(s.api.Create(t.Context(), policy))
	s.must(s.api.Create(t.Context(), binding))
	t.Cleanup(func() {
		_ = s.api.Delete(context.Background(), binding)
		_ = s.api.Delete(context.Background(), policy)
	})
	// A policy is active a moment after it is written.
	service("refused")(s)
	s.within(patience, "the policy is active", func() error {
		svc := s.get("refused")
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.1"}}
		if err := s.api.Status().Update(t.Context(), svc, client.DryRunAll); !apierrors.IsInvalid(err) {
			return errNotYet
		}
		return nil
	})

	started()(s)
	pool("a", "192.0.2.1-192.0.2.2")(s)
	s.within(patience, "it is told", func() error { return s.told("refused", "StatusRefused", 1) })
	service("one")(s)
	has("one", "192.0.2.2")(s)
	service("two")(s)
	lacks("two", "PoolExhausted")(s)
	time.Sleep(time.Second) // it is tried again meanwhile
	s.must(s.told("refused", "StatusRefused", 1))

	s.must(s.api.Delete(t.Context(), binding))
	s.within(2*patience, "it is served when nothing refuses it any more", func() error {
		if shownOf(s.get("refused"), v4) != "192.0.2.1" {
			return errNotYet
		}
		return nil
	})
	has("one", "192.0.2.2")(s)
}

// The condition of a pool follows each edit, also while its counts are written.
func TestConditionFollows(t *testing.T) {
	s := newStage(t)
	started()(s)
	for range 15 {
		pool("a", "192.0.2.1-192.0.2.9")(s)
		for n := int32(1); n <= 3; n++ {
			editPool("a", func(p *v1beta1.IPAddressPool) {
				p.Spec.Addresses = []string{[]string{"192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/30"}[n-1]}
			})(s)
			s.ask()
		}
		poolIs("a", "Accepted")(s)
		removePool("a")(s)
		if t.Failed() {
			return
		}
	}
}

// TestTogether: an object that comes a moment before what it names, as from one file, is never said to lack it.
func TestTogether(t *testing.T) {
	s := newStage(t)
	s.start()
	peer := &v1beta1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: "early"},
		Spec:       v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1", BFDProfile: "late"},
	}
	profile := &v1beta1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
	s.must(s.api.Create(t.Context(), peer))
	t.Cleanup(func() { _ = s.api.Delete(context.Background(), peer) })
	s.must(s.api.Create(t.Context(), profile))
	t.Cleanup(func() { _ = s.api.Delete(context.Background(), profile) })
	s.within(patience, "the peer is judged", func() error {
		s.must(s.api.Get(t.Context(), client.ObjectKeyFromObject(peer), peer))
		if c := meta.FindStatusCondition(peer.Status.Conditions, v1beta1.ConditionAccepted); c == nil || c.Reason != "Accepted" {
			return fmt.Errorf("Accepted is %+v", c)
		}
		return nil
	})
	time.Sleep(time.Second) // events come a moment later
	var all eventsv1.EventList
	s.must(s.api.List(t.Context(), &all))
	for i := range all.Items {
		if e := &all.Items[i]; e.Regarding.Name == "early" {
			t.Errorf("event %s: %s", e.Reason, e.Note)
		}
	}
}
