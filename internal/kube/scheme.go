package kube

import (
	"fmt"
	"net/http"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// NewScheme returns a scheme with Kubernetes' own kinds and Fairlead's.
func NewScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("register Kubernetes' kinds: %w", err)
	}
	if err := v1beta1.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("register Fairlead's kinds: %w", err)
	}
	return s, nil
}

// newMapper returns the resources of the kinds that Fairlead reads and writes. They
// are known beforehand, so that a binary starts while the API server is away.
func newMapper(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(corev1.SchemeGroupVersion.WithKind("Service"), meta.RESTScopeNamespace)
	m.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	m.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	m.Add(corev1.SchemeGroupVersion.WithKind("Node"), meta.RESTScopeRoot)
	m.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	m.Add(networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"), meta.RESTScopeRoot) // since Kubernetes 1.33
	m.Add(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), meta.RESTScopeNamespace)
	ours := runtime.NewScheme()
	if err := v1beta1.AddToScheme(ours); err != nil {
		return nil, fmt.Errorf("register Fairlead's kinds: %w", err)
	}
	for kind, t := range ours.KnownTypes(v1beta1.GroupVersion) {
		if _, object := reflect.TypeAssert[metav1.Object](reflect.New(t)); !object { // lists and options
			continue
		}
		scope := meta.RESTScopeRoot
		if kind == "IPClaim" {
			scope = meta.RESTScopeNamespace
		}
		m.Add(v1beta1.GroupVersion.WithKind(kind), scope)
	}
	return m, nil
}
