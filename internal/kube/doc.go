// Package kube is what Fairlead knows of Kubernetes itself: the scheme, the
// options of its cache, the annotations on Services, and how Services,
// EndpointSlices and Nodes become plain values.
//
// It owns the annotation keys. What the values mean is decided in packages
// ipam and announce, which know nothing of Kubernetes.
package kube
