package assign

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// TestPrecedence: what the table in the docs says comes of a Service's annotations is what comes of them.
func TestPrecedence(t *testing.T) {
	page, err := os.ReadFile("../../docs/annotations.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| (nothing|`[^|]+`) \\| (nothing|[0-9.]+) \\| `(\\w+)` \\|$").FindAllStringSubmatch(string(page), -1)
	if len(rows) < 25 {
		t.Fatalf("found %d rows only: has the table changed its shape?", len(rows))
	}
	for _, row := range rows {
		t.Run(row[1], func(t *testing.T) {
			svc := described(t, row[1])
			s := kube.ServiceOf(svc)
			l := cast()
			got := l.decide(RequestOf(&s, nil))
			want := strings.TrimPrefix(row[2], "nothing")
			if has := join(got.Addresses); has != want || string(got.Reason) != row[3] {
				t.Errorf("gets %q, %s (%s); the page says %q, %s", has, got.Reason, got.Message, want, row[3])
			}
		})
	}
}

// cast is the cluster that the page describes above its table.
func cast() *ledger {
	no := false
	snapshot, _ := config.Build(config.Objects{Pools: []v1beta1.IPAddressPool{
		{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.10-192.0.2.19"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "gold"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"198.51.100.10-198.51.100.19"}, AutoAssign: &no}},
	}})
	held := func(name, ip string, kind ipam.Kind, sharing string) ipam.Request {
		return ipam.Request{
			Key:      ipam.Key{Namespace: "team-a", Name: name, Kind: kind},
			Terms:    ipam.Terms{Sharing: sharing, Ports: []ipam.Port{{Protocol: "TCP", Number: 443}}},
			Families: []config.Family{config.IPv4},
			Shown:    []netip.Addr{netip.MustParseAddr(ip)}, Marked: true,
		}
	}
	var l ledger
	l.load(snapshot, []ipam.Request{
		held("kept", "192.0.2.15", ipam.Claim, ""),
		held("shop", "192.0.2.17", ipam.Service, "k"),
		held("alone", "192.0.2.18", ipam.Service, ""),
	})
	return &l
}

// described makes a Service out of a cell such as `key: value`, `key: value`.
func described(t *testing.T, cell string) *corev1.Service {
	t.Helper()
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web", Annotations: map[string]string{}},
		Spec:       corev1.ServiceSpec{IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if cell == "nothing" {
		return svc
	}
	for part := range strings.SplitSeq(cell, ", ") {
		key, value, ok := strings.Cut(strings.Trim(part, "`"), ": ")
		switch {
		case !ok:
			t.Fatal(fmt.Errorf("%q is not key: value", part))
		case key == "spec.loadBalancerIP":
			svc.Spec.LoadBalancerIP = value
		default:
			svc.Annotations[key] = value
		}
	}
	return svc
}
