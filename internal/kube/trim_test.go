package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

func TestTrimEndpointSlice(t *testing.T) {
	yes, node := true, "node-1"
	whole := &discoveryv1.EndpointSlice{
		ObjectMeta: fullMeta(),
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &yes}, TargetRef: &corev1.ObjectReference{Name: "pod"}}},
		Ports:      []discoveryv1.EndpointPort{{}},
	}
	want := Endpoints(whole)
	if _, err := TrimEndpointSlice(whole); err != nil {
		t.Fatal(err)
	}
	left := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "web", UID: "1", ResourceVersion: "2", Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
		},
		Endpoints: []discoveryv1.Endpoint{{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &yes}}},
	}
	if diff := cmp.Diff(left, whole); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, Endpoints(whole)); diff != "" {
		t.Errorf("endpoints: -whole, +trimmed:\n%s", diff)
	}
}
