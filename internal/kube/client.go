package kube

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// NewClient returns a client without a cache, for a command that reads all there is, once: one request for each kind. It knows
// Fairlead's kinds, those of Kubernetes that a command needs, and some others.
func NewClient(rc *rest.Config, others ...schema.GroupVersionKind) (client.Client, error) {
	scheme, err := NewScheme()
	if err != nil {
		return nil, err
	}
	mapper, err := newMapper(rc, nil)
	if err != nil {
		return nil, err
	}
	if m, ok := mapper.(*meta.DefaultRESTMapper); ok {
		m.Add(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta.RESTScopeNamespace)
		m.Add(appsv1.SchemeGroupVersion.WithKind("DaemonSet"), meta.RESTScopeNamespace)
		m.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
		m.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
		for _, gvk := range others {
			m.Add(gvk, meta.RESTScopeNamespace)
		}
	}
	rc = rest.CopyConfig(rc)
	rc.QPS = -1
	c, err := client.New(rc, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return c, nil
}
