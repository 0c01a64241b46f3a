package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPlan: what becomes of Services by manifests, and by a node that is taken out.
func TestPlan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pool.yaml")
	for name, tc := range map[string]struct {
		pool   string
		args   []string
		status int
		want   string
	}{
		"Wider":   {"192.0.2.0/28", []string{"-f", file}, exitOK, "0 of 1 Services change"},
		"Without": {"192.0.2.2-192.0.2.7", []string{"-f", file}, exitWrong, "shop/web   192.0.2.1   192.0.2.2   changes   192.0.2.1: it belongs to no pool any more"},
		"Drain":   {"", []string{"--drain", "node-1"}, exitWrong, "moves   192.0.2.1 from node-1 to node-2: open connections break"},
		"Other":   {"", []string{"--drain", "node-2"}, exitOK, "0 of 1 Services change"},
		"NoNode":  {"", []string{"--drain", "node-9"}, exitError, "there is no Node node-9"},
		"Nothing": {"", nil, exitError, "at least one of the flags in the group [filename drain] is required"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "apiVersion: fairlead.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: default}\nspec: {addresses: [" + tc.pool + "]}\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			status, out, errs := run(t, append([]string{"plan", "--from-bundle", "testdata/healthy.yaml"}, tc.args...)...)
			if status != tc.status || !strings.Contains(out+errs, tc.want) {
				t.Errorf("status %d:\n%s%s\nwant status %d and %q", status, out, errs, tc.status, tc.want)
			}
		})
	}
}

// TestPlanServes: who waits is served by a wider pool; who has an address keeps it.
func TestPlanServes(t *testing.T) {
	c := healthy(t)
	c.Pools.Items[0].Spec.Addresses = []string{"192.0.2.1/32"}
	waiting := *c.Services.Items[0].DeepCopy()
	waiting.Name, waiting.Status, waiting.Annotations, waiting.CreationTimestamp = "waits", corev1.ServiceStatus{}, nil, metav1.Now()
	c.Services.Items = append(c.Services.Items, waiting)
	then := c.copy()
	then.Pools.Items[0].Spec.Addresses = []string{"192.0.2.0/30"}
	p := c.Plan(then)
	if len(p.Changes) != 1 || p.Changes[0].Service != "shop/waits" || p.Changes[0].What != "gains" || len(p.Changes[0].After) != 1 {
		t.Errorf("got %+v", p)
	}
	if c.Pools.Items[0].Spec.Addresses[0] != "192.0.2.1/32" {
		t.Error("a plan has changed what it was made from")
	}
}

// TestPlanLeavesOthers: what another implementation has assigned, and no pool contains, is not lost by a plan.
func TestPlanLeavesOthers(t *testing.T) {
	c := healthy(t)
	foreign := &c.Services.Items[0]
	foreign.Annotations, foreign.Status = nil, corev1.ServiceStatus{}
	foreign.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.9"}}
	then := c.copy()
	then.Pools.Items[0].Spec.Addresses = []string{"192.0.2.0/28"}
	if p := c.Plan(then); len(p.Changes) != 0 {
		t.Errorf("got %+v", p)
	}
}
