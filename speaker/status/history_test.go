package status

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// TestHistory: what is noted of an address in its life, and that nothing is noted twice.
func TestHistory(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.7")
	nodes := func(change func(first *announce.Node)) []announce.Node {
		out := []announce.Node{
			{Name: "node-1", Ready: true, Presence: announce.Alive}, {Name: "node-2", Ready: true, Presence: announce.Alive},
		}
		change(&out[0])
		return out
	}
	fine := nodes(func(*announce.Node) {})
	by := func(node string) []announce.Announcement {
		return []announce.Announcement{{Address: a, Node: node, Reason: announce.Announced, Links: []string{"eth0"}}}
	}
	none := []announce.Announcement{{Address: a, Reason: announce.NoEndpoints, Message: "the Service has no ready endpoint"}}
	svc := &corev1.Service{}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: a.String()}}
	now := time.Date(2026, 11, 30, 4, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		reason string
		of     []announce.Announcement
		nodes  []announce.Node
		want   string // what is noted; empty for nothing
	}{
		{"its pods are not there yet", none, fine, ""},
		{"the first time", by("node-1"), fine, "announced by node-1"},
		{"the same again", by("node-1"), fine, ""},
		{"the node dies", by("node-2"), nodes(func(n *announce.Node) { n.Presence = announce.Gone }), "moved from node-1 to node-2: the node is lost, or its speaker was away for too long"},
		{"it is moved by hand", by("node-1"), fine, "moved from node-2 to node-1: another node is preferred, or the former has no endpoint or interface for it"},
		{"its pods go", none, fine, "not announced: NoEndpoints"},
		{"and come back", by("node-1"), fine, "announced by node-1"},
		{"the node is labelled", by("node-2"), nodes(func(n *announce.Node) { n.Excluded = true }), "moved from node-1 to node-2: the node is excluded from external load balancers"},
	} {
		before := kube.History(svc.Annotations[kube.AnnotationHistory])
		r := subject{of: step.of}.report()
		r.render(svc, step.nodes)
		after := kube.History(svc.Annotations[kube.AnnotationHistory])
		var got []string
		for _, c := range after[:len(after)-len(before)] {
			got = append(got, c.What)
			if c.Addr != a || c.At.Before(now) {
				t.Errorf("%s: noted of %s at %s", step.reason, c.Addr, c.At)
			}
		}
		if diff := cmp.Diff(slices.DeleteFunc([]string{step.want}, func(s string) bool { return s == "" }), got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
	}
}
