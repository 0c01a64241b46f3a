package assign

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// BenchmarkAdopt reads and adopts all Services of a large cluster, as a new leader does
// once it has them from the API server.
func BenchmarkAdopt(b *testing.B) {
	const services = 50_000
	s := snapshot("10.0.0.0/15")
	all := make([]corev1.Service, services)
	for i := range all {
		ip := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		all[i] = corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: fmt.Sprintf("ns-%d", i%100), Name: fmt.Sprintf("service-%d", i),
				CreationTimestamp: metav1.NewTime(born.Add(time.Duration(i*7919%services) * time.Second)),
				Labels:            map[string]string{"app": "web"}, Annotations: map[string]string{kube.AnnotationAllocatedFrom: ip + "=main"},
			},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
				{IP: ip},
			}}},
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		requests := make([]ipam.Request, 0, services)
		for i := range all {
			view := kube.ServiceOf(&all[i])
			requests = append(requests, RequestOf(&view, nil))
		}
		var l ledger
		l.load(s, requests)
		if n := l.usage("main")["IPv4"].Assigned; n != services {
			b.Fatalf("%d addresses are held", n)
		}
	}
}
