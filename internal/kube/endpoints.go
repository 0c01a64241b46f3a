package kube

import (
	"slices"
	"unique"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Slice is what Fairlead keeps of an EndpointSlice, in a fraction of its memory: there is at least one for each Service of a cluster.
type Slice struct {
	Namespace, Name, ResourceVersion string
	// Service is the name of the Service that it is of.
	Service string
	// Usable are the nodes of the usable endpoints, one for each endpoint, sorted; empty for one that is on no node. Usable is what
	// kube-proxy sends traffic to: ready, or still serving while it terminates (KEP-1669).
	Usable []string
	// Ready are those of the endpoints that are ready and do not terminate.
	Ready []string
}

// SliceOf reads an EndpointSlice. The result shares nothing with it.
func SliceOf(s *discoveryv1.EndpointSlice) *Slice {
	out := &Slice{Namespace: s.Namespace, Name: s.Name, ResourceVersion: s.ResourceVersion, Service: s.Labels[discoveryv1.LabelServiceName]}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		node := ""
		if e.NodeName != nil {
			node = unique.Make(*e.NodeName).Value() // one string for all slices
		}
		ready := e.Conditions.Ready == nil || *e.Conditions.Ready
		serving := ready
		if e.Conditions.Serving != nil {
			serving = *e.Conditions.Serving
		}
		if serving {
			out.Usable = append(out.Usable, node)
		}
		if ready && (e.Conditions.Terminating == nil || !*e.Conditions.Terminating) {
			out.Ready = append(out.Ready, node)
		}
	}
	slices.Sort(out.Usable)
	slices.Sort(out.Ready)
	if out.Usable = slices.Clip(out.Usable); slices.Equal(out.Usable, out.Ready) {
		out.Ready = out.Usable
	}
	return out
}

// GetObjectMeta lets a cache know what it keeps.
func (s *Slice) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, ResourceVersion: s.ResourceVersion}
}
