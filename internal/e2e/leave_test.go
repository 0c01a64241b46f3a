package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/cli"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

// TestLeave: who leaves takes nothing. Addresses stay in the Services, without a mark of Fairlead; a later installation adopts them. Clients that
// know the way, and go on using it, lose no page.
func TestLeave(t *testing.T) {
	s := tell(t, shared)
	s.base = lastBase
	s.apply(pool("main", "172.30.0.100-172.30.0.103") + advertised("") + web(2) + service("web", "fairlead.io/ips: 172.30.0.102", "") + service("second", "", ""))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.served("172.30.0.102")
	s.announcer("second")
	was := s.service("second").Status.LoadBalancer.Ingress[0].IP

	pages := s.probe("172.30.0.102", 20*ms)
	s.afterwards("-n", lab.Namespace, "patch", "daemonset", "speaker", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"fairlead.io/stopped":null}}}}}`)
	s.afterwards("-n", lab.Namespace, "scale", "deployment/controller", "--replicas=2")
	var out, errs bytes.Buffer
	if status := cli.Run(t.Context(), []string{"leave", "--yes", "--kubeconfig", s.Kubeconfig(), "--fairlead-namespace", lab.Namespace}, strings.NewReader(""), &out, &errs); status != 0 {
		t.Fatalf("leave ends with %d: %s%s", status, &out, &errs)
	}
	t.Logf("%s", &out)
	for name, address := range map[string]string{"web": s.own("172.30.0.102"), "second": was} {
		svc := s.service(name)
		if len(svc.Status.Conditions) > 0 || strings.Contains(fmt.Sprint(svc.Annotations), "fairlead.io/a") || strings.Contains(fmt.Sprint(svc.Annotations), "fairlead.io/history") {
			t.Errorf("%s has conditions %v and annotations %v", name, svc.Status.Conditions, svc.Annotations)
		}
		s.must(s.shows(name, address)())
	}
	time.Sleep(20 * second)

	// Another installation: the same, after all.
	s.kubectl("-n", lab.Namespace, "scale", "deployment/controller", "--replicas=2")
	s.kubectl("-n", lab.Namespace, "patch", "daemonset", "speaker", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"fairlead.io/stopped":null}}}}}`)
	s.must(s.RolledOut(t.Context(), "deployment/controller", "daemonset/speaker"))
	s.within(30*second, "adopted", s.assigned("second", "Assigned", was))
	s.must(s.shows("second", was)())
	s.served("172.30.0.102")
	s.handedOver(pages.stop())
}
