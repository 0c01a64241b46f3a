package totals

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/metrics"
)

// TestCountServices: each Service that is served counts once, and the oldest that waits says for how long.
func TestCountServices(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }
	service := func(created time.Duration, address string, cs ...metav1.Condition) corev1.Service {
		svc := corev1.Service{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: ago(created)}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
		if address != "" {
			svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		}
		svc.Status.Conditions = cs
		return svc
	}
	condition := func(kind, reason string, since time.Duration) metav1.Condition {
		return metav1.Condition{Type: kind, Reason: reason, LastTransitionTime: ago(since)}
	}
	assigned, announced := v1beta1.ServiceConditionAssigned, v1beta1.ServiceConditionAnnounced
	foreign := service(time.Hour, "")
	foreign.Spec.LoadBalancerClass = new("example.com/other")
	going := service(time.Hour, "")
	going.DeletionTimestamp = new(ago(0))
	internal := service(time.Hour, "")
	internal.Spec.Type = corev1.ServiceTypeClusterIP
	all := []corev1.Service{
		service(time.Hour, "192.0.2.1", condition(assigned, "Assigned", time.Hour), condition(announced, "Announced", time.Hour)),
		service(time.Hour, "192.0.2.2", condition(assigned, "Assigned", time.Hour), condition(announced, "NoNode", time.Minute)),
		service(time.Hour, "", condition(assigned, "PoolExhausted", 3*time.Minute)),
		service(time.Minute, ""),
		foreign, going, internal,
	}
	by, oldest := countServices(all, kube.Class{Names: []string{"fairlead.io/lb"}, Classless: true}, now)
	want := map[metrics.ServiceState]int{
		{Assigned: "Assigned", Announced: "Announced"}: 1, {Assigned: "Assigned", Announced: "NoNode"}: 1,
		{Assigned: "PoolExhausted", Announced: metrics.None}: 1, {Assigned: metrics.None, Announced: metrics.None}: 2,
	}
	if diff := cmp.Diff(want, by); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	if oldest != 3*time.Minute {
		t.Errorf("the oldest has waited for %s", oldest)
	}
	if _, oldest := countServices(all[:2], kube.Class{Classless: true}, now); oldest != 0 {
		t.Errorf("nobody waits, and the oldest has waited for %s", oldest)
	}
}
