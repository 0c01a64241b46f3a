package kube

import (
	"maps"
	"net/netip"
	"slices"

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
	// Cordoned: no pods are scheduled to it.
	Cordoned bool
	// OutOfService: it has the taint node.kubernetes.io/out-of-service.
	OutOfService bool
	// Addresses are its internal ones, in its order.
	Addresses []netip.Addr
}

// Address is the node's first internal address; the zero one if it has none.
func (n *Node) Address() netip.Addr {
	if len(n.Addresses) == 0 {
		return netip.Addr{}
	}
	return n.Addresses[0]
}

// NodeOf reads a Node. The result shares nothing with it.
func NodeOf(n *corev1.Node) Node {
	out := Node{Name: n.Name, Labels: maps.Clone(n.Labels), Cordoned: n.Spec.Unschedulable}
	out.OutOfService = slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			out.Addresses = append(out.Addresses, ip.Unmap())
		}
	}
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
