package kube

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The Trim functions are cache transforms: they drop what Fairlead never reads,
// which is most of the memory. What is patched is computed against the trimmed
// object, so what was dropped stays in the cluster.

// TrimService drops what Fairlead never reads of a Service.
func TrimService(o any) (any, error) {
	if svc, ok := o.(*corev1.Service); ok {
		svc.ManagedFields = nil
		delete(svc.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return o, nil
}

// TrimToAnnounce leaves of a Service what a speaker reads: not what it asks for, and of one
// of another type nothing but that.
func TrimToAnnounce(o any) (any, error) {
	svc, ok := o.(*corev1.Service)
	if !ok {
		return o, nil
	}
	left := corev1.Service{
		TypeMeta:   svc.TypeMeta,
		ObjectMeta: trimMeta(&svc.ObjectMeta, nil),
		Spec:       corev1.ServiceSpec{Type: svc.Spec.Type},
	}
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		left.Generation, left.Labels = svc.Generation, svc.Labels
		left.Annotations = only(svc.Annotations, AnnotationAllocatedFrom, AnnotationAnnouncers, AnnotationInUse, AnnotationHistory)
		left.Spec.LoadBalancerClass, left.Spec.ExternalTrafficPolicy = svc.Spec.LoadBalancerClass, svc.Spec.ExternalTrafficPolicy
		left.Status = svc.Status
	}
	*svc = left
	return o, nil
}

// trimMeta leaves what names an object and its version, and its labels.
func trimMeta(m *metav1.ObjectMeta, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Labels: labels}
}

// only returns those of some entries that have one of the keys.
func only(all map[string]string, keys ...string) map[string]string {
	out := make(map[string]string, len(keys))
	for _, k := range keys {
		if v, has := all[k]; has {
			out[k] = v
		}
	}
	return out
}

// TrimNode leaves of a Node what NodeOf, AddressesOf and PodNetworksOf read.
func TrimNode(o any) (any, error) {
	if n, ok := o.(*corev1.Node); ok {
		*n = corev1.Node{
			TypeMeta:   n.TypeMeta,
			ObjectMeta: trimMeta(&n.ObjectMeta, n.Labels),
			Spec:       corev1.NodeSpec{PodCIDRs: n.Spec.PodCIDRs, Taints: n.Spec.Taints, Unschedulable: n.Spec.Unschedulable},
			Status:     corev1.NodeStatus{Addresses: n.Status.Addresses, Conditions: n.Status.Conditions},
		}
	}
	return o, nil
}

// TrimEndpointSlice makes a Slice of an EndpointSlice: those who watch get that, and none can be read from the cache.
func TrimEndpointSlice(o any) (any, error) {
	if s, ok := o.(*discoveryv1.EndpointSlice); ok {
		return SliceOf(s), nil
	}
	return o, nil
}
