package kube

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// AddressesOf reads the addresses of a Node. What is no address, such as a name, is left out.
func AddressesOf(n *corev1.Node) []netip.Addr {
	var out []netip.Addr
	for _, at := range n.Status.Addresses {
		if at.Type != corev1.NodeInternalIP && at.Type != corev1.NodeExternalIP {
			continue
		}
		if a, err := netip.ParseAddr(at.Address); err == nil && a.Zone() == "" {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// PodNetworksOf reads the networks that the pods of a Node get their addresses of. A network
// plugin that has networks of its own does not tell them.
func PodNetworksOf(n *corev1.Node) []netip.Prefix { return prefixes(n.Spec.PodCIDRs) }

// ServiceNetworksOf reads the networks that Services get their cluster IPs of.
func ServiceNetworksOf(c *networkingv1.ServiceCIDR) []netip.Prefix { return prefixes(c.Spec.CIDRs) }

func prefixes(in []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range in {
		if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
			out = append(out, p.Masked())
		}
	}
	return out
}

// SameNetworks reports whether two Nodes have the same addresses and pod networks.
func SameNetworks(a, b *corev1.Node) bool {
	return slices.Equal(a.Status.Addresses, b.Status.Addresses) && slices.Equal(a.Spec.PodCIDRs, b.Spec.PodCIDRs)
}
