package agent

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// BenchmarkEndpoint measures what a speaker decides when one Service has another endpoint, among many that its node announces, by layer 2
// and by BGP; and when another node changes, which may concern all of them.
func BenchmarkEndpoint(b *testing.B) {
	for _, size := range []struct{ addresses, nodes int }{{100, 2}, {10_000, 2}, {10_000, 100}} {
		n, name := size.addresses, fmt.Sprintf("%d-on-%d", size.addresses, size.nodes)
		a := testAgent(nil)
		w, p, now := newWorld("node-1"), newPlan("node-1", time.Second, 0, false), time.Unix(1_000_000, 0)
		a.see(w, &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/16"}}})
		a.see(w, &v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}})
		a.see(w, &v1beta1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}})
		a.see(w, historyRouter(metav1.ObjectMeta{Name: "router", Generation: 1}, "203.0.113.1"))
		w.links = linksOf("node-1", historyLinks[1:])
		for i := range size.nodes {
			node := fmt.Sprintf("node-%d", i+1)
			a.see(w, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
			if node != w.self {
				w.others[node] = []announce.Link{{Name: "eth0", DefaultRoutes: []config.Family{config.IPv4}}}
			}
		}
		for i := range n {
			svc := service(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
			svc.Name = fmt.Sprint(i)
			svc.Annotations[kube.AnnotationAnnouncers] = kube.AnnouncersText(map[netip.Addr][]string{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}): {"node-1", "node-2"}})
			a.see(w, svc)
			a.see(w, slice("ns", svc.Name+"-1", svc.Name, "node-1"))
		}
		w.all = true
		for k := range w.services {
			w.touch(k)
		}
		decide := func() {
			p.decide(w, w.view(), now)
			p.work(&w.recovery)
		}
		decide() // about everything
		if len(p.tasks) != n {
			b.Fatalf("%d tasks", len(p.tasks))
		}
		forms := []func(*world){a.putSlice(kube.SliceOf(slice("ns", "7-1", "7", "node-1"))), a.putSlice(kube.SliceOf(slice("ns", "7-1", "7", "node-1", "node-2")))}
		b.Run("one/"+name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i++
				forms[i%2](w)
				decide()
			}
		})
		b.Run("node/"+name, func(b *testing.B) {
			for b.Loop() {
				w.all = true
				decide()
			}
		})
	}
}
