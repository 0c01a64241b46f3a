package assign

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// TestReleased: a pool remembers who gave its addresses back, the latest first and no more than it may, over a change of the leader.
func TestReleased(t *testing.T) {
	r, l := &Reconciler{}, &ledger{}
	svc := func(name, address string) ipam.Request {
		return ipam.Request{Key: ipam.Key{Namespace: "ns", Name: name}, Shown: []netip.Addr{netip.MustParseAddr(address)}, Marked: true}
	}
	l.load(snapshot("192.0.2.1"), []ipam.Request{svc("a", "192.0.2.1"), svc("outside", "203.0.113.1")})
	pool := l.state.Pools()[0]
	now := time.Unix(1_000_000, 0)
	r.released.add(l.release(ipam.Key{Namespace: "ns", Name: "outside"}).freed, now)
	r.released.add(l.release(ipam.Key{Namespace: "ns", Name: "a"}).freed, now)
	all := r.Released(pool, nil)
	if len(all) != 1 || all[0].Name != "a" || all[0].Address != "192.0.2.1" || all[0].Kind != "Service" || !all[0].Time.Time.Equal(now) {
		t.Fatalf("remembered are %+v", all)
	}
	if again := r.Released(pool, all); len(again) != 1 {
		t.Errorf("what is written is remembered twice: %+v", again)
	}
	next := &Reconciler{}
	for i := range 2 * maxReleased {
		next.released.add([]freed{{pool, netip.MustParseAddr("192.0.2.1"), ipam.Key{Namespace: "ns", Name: fmt.Sprint(i)}}}, now.Add(time.Duration(i)*time.Second))
		all = next.Released(pool, all)
		if len(all) != min(i+2, maxReleased) || all[0].Name != fmt.Sprint(i) {
			t.Fatalf("after %d: %d are remembered, the first is %s", i, len(all), all[0].Name)
		}
	}
}

// TestNote: a Service's history says which addresses it got and lost.
func TestNote(t *testing.T) {
	showing := func(addrs ...string) *corev1.Service {
		svc := &corev1.Service{}
		for _, a := range addrs {
			svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
		}
		return svc
	}
	after := showing("192.0.2.2")
	note(showing("192.0.2.1"), after, &outcome{Decision: ipam.Decision{Lost: "it asks for another"}, from: map[netip.Addr]string{netip.MustParseAddr("192.0.2.2"): "a"}}, time.Now())
	var got []string
	for _, c := range kube.History(after.Annotations[kube.AnnotationHistory]) {
		got = append(got, c.Addr.String()+" "+c.What)
	}
	if want := "[192.0.2.2 assigned from pool a 192.0.2.1 released (it asks for another)]"; fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	same := showing("192.0.2.2")
	if note(showing("192.0.2.2"), same, &outcome{}, time.Now()); len(same.Annotations) > 0 {
		t.Errorf("noted that nothing happened: %v", same.Annotations)
	}
}
