package kube

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var samePrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// A Node says all that it is asked for after it was trimmed too, and nothing else is left of it.
func TestNetworks(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "u", ResourceVersion: "7", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"a": "b"}},
		Spec:       corev1.NodeSpec{PodCIDR: "10.244.0.0/24", PodCIDRs: []string{"10.244.0.0/24", "2001:db8:1::/64", "?"}, ProviderID: "metal"},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeHostName, Address: "192.0.2.1"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.2"},
				{Type: corev1.NodeExternalIP, Address: "::ffff:192.0.2.3"}, {Type: corev1.NodeInternalIP, Address: "fe80::1%eth0"},
				{Type: corev1.NodeInternalIP, Address: "2001:db8::4"}, {Type: corev1.NodeExternalIP, Address: "node-1.example.com"},
			},
			Images: []corev1.ContainerImage{{Names: []string{"x"}}}, Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady}},
		},
	}
	other := node.DeepCopy()
	if _, err := TrimNode(node); err != nil {
		t.Fatal(err)
	}
	want := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "u", ResourceVersion: "7", Labels: other.Labels},
		Spec:       corev1.NodeSpec{PodCIDRs: other.Spec.PodCIDRs},
		Status:     corev1.NodeStatus{Addresses: other.Status.Addresses, Conditions: other.Status.Conditions},
	}
	if diff := cmp.Diff(want, node); diff != "" {
		t.Errorf("trimmed: -want, +got:\n%s", diff)
	}
	addresses := []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::4")}
	if diff := cmp.Diff(addresses, AddressesOf(node), sameAddr); diff != "" {
		t.Errorf("addresses: -want, +got:\n%s", diff)
	}
	networks := []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24"), netip.MustParsePrefix("2001:db8:1::/64")}
	if diff := cmp.Diff(networks, PodNetworksOf(node), samePrefix); diff != "" {
		t.Errorf("pod networks: -want, +got:\n%s", diff)
	}
	cidr := &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.244.0.0/24", "2001:db8:1::/64"}}}
	if diff := cmp.Diff(networks, ServiceNetworksOf(cidr), samePrefix); diff != "" {
		t.Errorf("service networks: -want, +got:\n%s", diff)
	}
	if !SameNetworks(node, other) {
		t.Error("nothing has changed but what is not asked for")
	}
	other.Status.Addresses[1].Address = "192.0.2.9"
	if SameNetworks(node, other) {
		t.Error("an address has changed")
	}
}
