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

// TrimNode leaves of a Node what NodeOf, AddressesOf and PodNetworksOf read.
func TrimNode(o any) (any, error) {
	if n, ok := o.(*corev1.Node); ok {
		*n = corev1.Node{
			TypeMeta:   n.TypeMeta,
			ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: n.Labels},
			Spec:       corev1.NodeSpec{PodCIDRs: n.Spec.PodCIDRs, Taints: n.Spec.Taints, Unschedulable: n.Spec.Unschedulable},
			Status:     corev1.NodeStatus{Addresses: n.Status.Addresses, Conditions: n.Status.Conditions},
		}
	}
	return o, nil
}

// TrimEndpointSlice drops what Fairlead never reads of an EndpointSlice.
func TrimEndpointSlice(o any) (any, error) {
	s, ok := o.(*discoveryv1.EndpointSlice)
	if !ok {
		return o, nil
	}
	s.ManagedFields, s.Annotations, s.Ports = nil, nil, nil
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		*e = discoveryv1.Endpoint{Conditions: e.Conditions, NodeName: e.NodeName}
	}
	return o, nil
}
