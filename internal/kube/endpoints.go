package kube

import (
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Endpoints counts the usable endpoints of a slice by node; those on no node are
// counted for the empty name. Usable is what kube-proxy sends traffic to: ready, or
// still serving while it terminates (KEP-1669).
func Endpoints(s *discoveryv1.EndpointSlice) map[string]int {
	out := map[string]int{}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		serving := e.Conditions.Ready
		if e.Conditions.Serving != nil {
			serving = e.Conditions.Serving
		}
		if serving != nil && !*serving {
			continue
		}
		node := ""
		if e.NodeName != nil {
			node = *e.NodeName
		}
		out[node]++
	}
	return out
}

// ReadyNodes returns the nodes of the endpoints of a slice that are ready and not terminating.
func ReadyNodes(s *discoveryv1.EndpointSlice) map[string]bool {
	out := map[string]bool{}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		ready := e.Conditions.Ready == nil || *e.Conditions.Ready
		terminating := e.Conditions.Terminating != nil && *e.Conditions.Terminating
		if e.NodeName != nil && ready && !terminating {
			out[*e.NodeName] = true
		}
	}
	return out
}
