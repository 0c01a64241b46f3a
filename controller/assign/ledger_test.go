package assign

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

func snapshot(addresses ...string) *config.Snapshot {
	o := config.Objects{}
	if len(addresses) > 0 {
		o.Pools = []v1beta1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "main"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: addresses}}}
	}
	s, _ := config.Build(o)
	return s
}

var born = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// svc is a Service that was created so many minutes after the first.
func svc(name string, age int, edit ...func(*kube.Service)) ipam.Request {
	s := kube.Service{Namespace: "ns", Name: name, Created: born.Add(time.Duration(age) * time.Minute), Families: []v1beta1.IPFamily{v1beta1.IPv4}}
	for _, f := range edit {
		f(&s)
	}
	return RequestOf(&s, nil)
}

func shows(ips ...string) func(*kube.Service) {
	return func(s *kube.Service) {
		for _, ip := range ips {
			s.Shown = append(s.Shown, netip.MustParseAddr(ip))
		}
	}
}

func asks(ip string) func(*kube.Service) {
	return func(s *kube.Service) { s.IPs = []netip.Addr{netip.MustParseAddr(ip)} }
}

func marked(s *kube.Service)      { s.Marked = true }
func terminating(s *kube.Service) { s.Terminating = true }

// held says who holds what.
func held(l *ledger, entries ...ipam.Request) map[string]string {
	out := map[string]string{}
	for _, e := range entries {
		if as := l.state.Held(e.Key); len(as) > 0 {
			out[e.Name] = fmt.Sprint(as)
		}
	}
	return out
}

func TestLoad(t *testing.T) {
	cases := map[string]struct {
		reason   string
		services []ipam.Request
		want     map[string]string
		waiting  []string
	}{
		"AdoptsBeforeItAssigns": {
			reason:   "an older Service that waits does not get what a younger one shows (metallb #1774)",
			services: []ipam.Request{svc("old", 0), svc("young", 9, marked, shows("192.0.2.1"))},
			want:     map[string]string{"old": "[192.0.2.2]", "young": "[192.0.2.1]"},
		},
		"OldestOfTwo": {
			reason:   "of two that show one address the older has it",
			services: []ipam.Request{svc("b", 2, marked, shows("192.0.2.1")), svc("a", 1, marked, shows("192.0.2.1"))},
			want:     map[string]string{"a": "[192.0.2.1]", "b": "[192.0.2.2]"},
		},
		"ExplicitFirst": {
			reason:   "who asks for an address goes before older ones that take any",
			services: []ipam.Request{svc("any", 0), svc("one", 9, asks("192.0.2.1"))},
			want:     map[string]string{"one": "[192.0.2.1]", "any": "[192.0.2.2]"},
		},
		"OldestFirst": {
			reason:   "the others by age",
			services: []ipam.Request{svc("c", 3), svc("b", 2), svc("a", 1)},
			want:     map[string]string{"a": "[192.0.2.1]", "b": "[192.0.2.2]"}, waiting: []string{"c"},
		},
		"OutOfPool": {
			reason:   "what we assigned and no pool has any more is kept for a while: the pool may be made again",
			services: []ipam.Request{svc("a", 1, marked, shows("203.0.113.1"))},
			want:     map[string]string{"a": "[203.0.113.1]"}, waiting: []string{"a"},
		},
		"AdoptsForeign": {
			reason:   "what somebody else assigned out of our pool is adopted as it stands",
			services: []ipam.Request{svc("a", 1, shows("192.0.2.2"))},
			want:     map[string]string{"a": "[192.0.2.2]"},
		},
		"LeavesForeign": {
			reason:   "what somebody else assigned and no pool has is left alone, the other address with it",
			services: []ipam.Request{svc("a", 1, shows("192.0.2.2", "2001:db8::1")), svc("b", 2, func(s *kube.Service) { s.Names = []string{"lb.example.com"} })},
			want:     map[string]string{}, waiting: []string{"a", "b"},
		},
		"LeavesShared": {
			reason:   "and so is what another Service holds",
			services: []ipam.Request{svc("a", 1, shows("192.0.2.2")), svc("b", 2, shows("192.0.2.2"))},
			want:     map[string]string{"a": "[192.0.2.2]"}, waiting: []string{"b"},
		},
		"Terminating": {
			reason:   "a Service that is being deleted holds what it shows, and gets nothing",
			services: []ipam.Request{svc("a", 1, marked, terminating, shows("192.0.2.1")), svc("b", 2, terminating), svc("c", 3)},
			want:     map[string]string{"a": "[192.0.2.1]", "c": "[192.0.2.2]"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var l ledger
			l.load(snapshot("192.0.2.1-192.0.2.2"), append([]ipam.Request{}, tc.services...))
			if diff := cmp.Diff(tc.want, held(&l, tc.services...)); diff != "" {
				t.Errorf("\n%s\nheld: -want, +got:\n%s", tc.reason, diff)
			}
			var waiting []string
			for _, e := range tc.services {
				if l.state.Waits(e.Key) {
					waiting = append(waiting, e.Name)
				}
			}
			if diff := cmp.Diff(tc.waiting, waiting); diff != "" {
				t.Errorf("\n%s\nwaiting: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestReleaseServesTheLongestWaiting(t *testing.T) {
	var l ledger
	l.load(snapshot("192.0.2.1"), []ipam.Request{svc("a", 1), svc("b", 2), svc("c", 3)})
	out := l.release(ipam.Key{Namespace: "ns", Name: "a"})
	if diff := cmp.Diff([]ipam.Key{{Namespace: "ns", Name: "b"}}, out.others); diff != "" {
		t.Errorf("served: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"main"}, out.touched); diff != "" {
		t.Errorf("pools to count: -want, +got:\n%s", diff)
	}
	if !l.state.Waits(svc("c", 3).Key) || l.state.Waits(svc("b", 2).Key) {
		t.Error("b waits, or c does not")
	}
}

func TestReconfigure(t *testing.T) {
	var l ledger
	a, b, foreign := svc("a", 1), svc("b", 2), svc("f", 0, shows("198.51.100.7"))
	l.load(snapshot("192.0.2.1"), []ipam.Request{a, b, foreign})
	keys := l.reconfigure(snapshot("192.0.2.2-192.0.2.3", "198.51.100.0/24"))
	if diff := cmp.Diff(map[string]string{"a": "[192.0.2.1]", "b": "[192.0.2.2]", "f": "[198.51.100.7]"}, held(&l, a, b, foreign)); diff != "" {
		t.Errorf("held: -want, +got:\n%s", diff)
	}
	// a has lost its address, b and f have got one: all are to be looked at.
	if len(keys.others) != 3 {
		t.Errorf("to look at: %v, want three", keys.others)
	}
	if out := l.decide(a); fmt.Sprint(out.Addresses) != "[192.0.2.3]" {
		t.Errorf("a has %v", out.Addresses)
	}
}

// An address that a Service has lost is nobody else's until it is known not to be shown any more.
func TestLeaving(t *testing.T) {
	var l ledger
	a, b := svc("a", 1, asks("192.0.2.1")), svc("b", 2)
	l.load(snapshot("192.0.2.1", "192.0.2.2"), []ipam.Request{a})
	l.decide(svc("x", 0))
	l.decide(b)
	l.release(ipam.Key{Namespace: "ns", Name: "x"})
	// b holds .2, and becomes a Service of IPv6, of which there is none; it may still show .2.
	six := svc("b", 2, func(s *kube.Service) { s.Families = []v1beta1.IPFamily{v1beta1.IPv6} })
	out := l.decide(six)
	if len(out.Addresses) != 0 || fmt.Sprint(out.leaving) != "[192.0.2.2]" {
		t.Fatalf("b has %v, loses %v", out.Addresses, out.leaving)
	}
	if d := l.decide(svc("c", 3)); d.Reason != ipam.PoolExhausted {
		t.Errorf("c has %v, which b may still show", d.Addresses)
	}
	out = l.left(b.Key, out.leaving)
	if diff := cmp.Diff(map[string]string{"a": "[192.0.2.1]", "c": "[192.0.2.2]"}, held(&l, a, b, svc("c", 3))); diff != "" {
		t.Errorf("held: -want, +got:\n%s", diff)
	}
	if len(out.others) != 1 {
		t.Errorf("served: %v, want c", out.others)
	}
	if !l.state.Waits(b.Key) || l.state.Waits(svc("c", 3).Key) {
		t.Error("b, which has no address, does not wait, or c does")
	}
}

func TestDeletedWhileWaiting(t *testing.T) {
	var l ledger
	l.load(snapshot("192.0.2.1"), []ipam.Request{svc("a", 1), svc("b", 2), svc("c", 3)})
	l.decide(svc("b", 2, terminating)) // a finalizer holds it
	l.release(ipam.Key{Namespace: "ns", Name: "a"})
	if diff := cmp.Diff(map[string]string{"c": "[192.0.2.1]"}, held(&l, svc("b", 2), svc("c", 3))); diff != "" {
		t.Errorf("held: -want, +got:\n%s", diff)
	}
}
