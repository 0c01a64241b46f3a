package agent

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// routed is a world in which node-1 has a route: ns/web, to one router.
func routed(a *Agent) *world {
	w := newWorld("node-1")
	peer := historyRouter(metav1.ObjectMeta{Name: "router", Generation: 1}, "203.0.113.1")
	peer.Spec.PasswordSecret = &v1beta1.SecretReference{Name: "router"}
	a.see(w, &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}})
	a.see(w, &v1beta1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}})
	a.see(w, peer)
	a.see(w, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}})
	a.see(w, slice("ns", "web-1", "web", "node-1"))
	a.see(w, service("192.0.2.7"))
	w.all = true
	return w
}

func basicAuth(name, password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fairlead-system", Name: name}, Type: corev1.SecretTypeBasicAuth,
		Data: map[string][]byte{corev1.BasicAuthPasswordKey: []byte(password)},
	}
}

// A session is never made without the password that it needs.
func TestPasswords(t *testing.T) {
	a := testAgent(nil)
	w := routed(a)
	opaque := basicAuth("router", "secret")
	opaque.Type = corev1.SecretTypeOpaque
	for _, step := range []struct {
		reason          string
		do              func() bool
		password, fault string
		changes         bool
	}{
		{"there is no Secret", func() bool { return true }, "", "there is no Secret router", true},
		{"another one comes", func() bool { return a.see(w, basicAuth("other", "x")) }, "", "there is no Secret router", true},
		{"it is of another type", func() bool { return a.see(w, opaque) }, "", "Secret router is not of type", true},
		{"it is too long", func() bool { return a.see(w, basicAuth("router", strings.Repeat("x", 81))) }, "", "a password of 81 bytes is too long", true},
		{"it can be used", func() bool { return a.see(w, basicAuth("router", "secret")) }, "secret", "", true},
		{"it comes again", func() bool { return a.see(w, basicAuth("router", "secret")) }, "secret", "", false},
		{"it goes: what was known stays active", func() bool { return a.miss(w, basicAuth("router", ""), 8) }, "secret", "", false},
	} {
		changes := step.do()
		p := w.peers(w.config().Peers())[0]
		if p.Password != step.password || !strings.Contains(p.Fault, step.fault) || (p.Fault == "") != (step.fault == "") || changes != step.changes {
			t.Errorf("%s: %q, %q, changes %t", step.reason, p.Password, p.Fault, changes)
		}
	}
}

// A node that is to lose what it announces says so for a while, then withdraws; one that is to keep it again announces as before.
func TestDrain(t *testing.T) {
	a := testAgent(nil)
	w, p, now := routed(a), newPlan("node-1", 10*time.Second, 0, false), time.Unix(1_000_000, 0)
	decide := func() string {
		p.decide(w, w.view(), now)
		switch {
		case len(p.routes) == 0:
			return "nothing"
		case len(p.routes[0].Peers) == 0:
			return "withdrawn"
		case p.routes[0].Peers[0].Attributes.GracefulShutdown:
			return "leaving"
		default:
			return "announced"
		}
	}
	node := func(labels map[string]string) {
		a.cached(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: labels}})(w)
	}
	excluded := map[string]string{corev1.LabelNodeExcludeBalancers: ""}
	for _, step := range []struct {
		reason string
		do     func()
		want   string
	}{
		{"at first", func() {}, "announced"},
		{"it is excluded", func() { node(excluded) }, "leaving"},
		{"not long enough", func() { now = now.Add(9 * time.Second); p.expire(now) }, "nothing"},
		{"long enough", func() {
			if now = p.lapse(); !p.expire(now) || !p.lapse().IsZero() {
				t.Error("that it has left is not noticed once")
			}
		}, "withdrawn"},
		{"it is not any more", func() { node(nil) }, "announced"},
		{"it is again", func() { node(excluded) }, "leaving"},
		{"and is not soon after", func() { now = now.Add(time.Second); node(nil) }, "announced"},
		{"its Node is deleted", func() { a.kinds()[aNode].drop(name{"", "node-1"})(w) }, "leaving"},
	} {
		step.do()
		if got := decide(); got != step.want {
			t.Errorf("%s: %s, want %s", step.reason, got, step.want)
		}
	}
}
