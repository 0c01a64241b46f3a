package kube

import (
	corev1 "k8s.io/api/core/v1"
)

// A Node is what Fairlead reads of a Node.
type Node struct {
	Name   string
	Labels map[string]string
	// Ready and NetworkUnavailable are the conditions of that name.
	Ready, NetworkUnavailable bool
	// Excluded: the node carries node.kubernetes.io/exclude-from-external-load-balancers.
	Excluded bool
}

// NodeOf reads a Node. The result shares nothing with it.
func NodeOf(n *corev1.Node) Node {
	out := Node{Name: n.Name, Labels: copyLabels(n.Labels)}
	_, out.Excluded = n.Labels[corev1.LabelNodeExcludeBalancers]
	for _, c := range n.Status.Conditions {
		isTrue := c.Status == corev1.ConditionTrue
		switch c.Type {
		case corev1.NodeReady:
			out.Ready = isTrue
		case corev1.NodeNetworkUnavailable:
			out.NetworkUnavailable = isTrue
		}
	}
	return out
}
