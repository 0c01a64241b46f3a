package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func fullMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "ns", Name: "web", UID: "1", ResourceVersion: "2", Generation: 3, GenerateName: "w",
		Labels: map[string]string{"app": "web", discoveryv1.LabelServiceName: "web"},
		Annotations: map[string]string{
			AnnotationAllocatedFrom: "192.0.2.7=main", AnnotationAnnouncers: "192.0.2.7=node-1", AnnotationIPs: "192.0.2.7",
			corev1.LastAppliedConfigAnnotation: "{}",
		},
		OwnerReferences: []metav1.OwnerReference{{Name: "owner"}}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}
}

// TestTrimToAnnounce has a speaker read of a trimmed Service what it reads of the whole one.
func TestTrimToAnnounce(t *testing.T) {
	class := DefaultClass
	whole := &corev1.Service{
		ObjectMeta: fullMeta(),
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
			Ports: []corev1.ServicePort{{Port: 80}}, Selector: map[string]string{"app": "web"},
		},
		Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}}},
			Conditions:   []metav1.Condition{{Type: v1beta1.ServiceConditionAnnounced, Status: metav1.ConditionTrue}, {Type: "example.com/Other"}},
		},
	}
	trimmed := whole.DeepCopy()
	if _, err := TrimToAnnounce(trimmed); err != nil {
		t.Fatal(err)
	}
	if trimmed.ManagedFields != nil || trimmed.Spec.Ports != nil || trimmed.Spec.Selector != nil || len(trimmed.Annotations) != 2 {
		t.Errorf("%+v is left", trimmed)
	}
	want := ServiceOf(whole)
	want.IPs = nil // what it asks for is the controller's business
	if diff := cmp.Diff(want, ServiceOf(trimmed), sameAddr); diff != "" {
		t.Errorf("-whole, +trimmed:\n%s", diff)
	}
	if c := (Class{Names: []string{class}}); !c.Serves(trimmed) {
		t.Error("it has lost its class")
	}
	if diff := cmp.Diff(whole.Status, trimmed.Status); diff != "" {
		t.Errorf("status, which is written again: -whole, +trimmed:\n%s", diff)
	}

	other := &corev1.Service{ObjectMeta: fullMeta(), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}}
	if _, err := TrimToAnnounce(other); err != nil {
		t.Fatal(err)
	}
	left := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "1", ResourceVersion: "2"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP},
	}
	if diff := cmp.Diff(left, other); diff != "" {
		t.Errorf("one of another type: -want, +got:\n%s", diff)
	}
}

// TestTrimEndpointSlice has the cache keep a Slice, which it can name, and trim it again: caches may do so.
func TestTrimEndpointSlice(t *testing.T) {
	node := "node-1"
	whole := &discoveryv1.EndpointSlice{ObjectMeta: fullMeta(), Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: &node}}}
	want := any(SliceOf(whole))
	for _, o := range []any{whole, want} {
		got, err := TrimEndpointSlice(o)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%T: %v, -want, +got:\n%s", o, err, diff)
		}
	}
	if key, err := cache.MetaNamespaceKeyFunc(want); key != "ns/web" || err != nil {
		t.Errorf("it is kept as %s, %v", key, err)
	}
}
