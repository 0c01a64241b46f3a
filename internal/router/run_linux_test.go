package router

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// namespace makes a network namespace with the loopback interface up.
func namespace(t *testing.T, name string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	name = fmt.Sprintf("fairlead-%d-%s", os.Getpid(), name)
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("make a network namespace: %s (%v)", out, err)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	if out, err := exec.Command("ip", "-n", name, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%s (%v)", out, err)
	}
	return "/run/netns/" + name
}

// TestRouters runs two FRRs and a BIRD at a time, and all that they were is gone when they have stopped.
func TestRouters(t *testing.T) {
	ns := []string{namespace(t, "frr1"), namespace(t, "frr2"), namespace(t, "bird")}
	configs := []Config{
		FRR{"zebra": "hostname one\n", "bgpd": "router bgp 64513\n neighbor 127.0.0.9 remote-as 7\n", "bfdd": ""},
		FRR{"zebra": "hostname two\n", "bgpd": "router bgp 64514\n neighbor 127.0.0.9 remote-as 7\n"},
		BIRD("log stderr all;\nrouter id 192.0.2.3;\nprotocol device {}\n"),
	}
	questions := []string{"show bgp summary json", "show bgp summary json", "show status"}
	answers := []string{`64513`, `64514`, `192.0.2.3`}
	var all []*Router
	for i, c := range configs {
		r, err := Start(t.Context(), t.Logf, ns[i], c)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Stop() // again, where all is well
		all = append(all, r)
	}
	for i, r := range all {
		got, err := r.Ask(t.Context(), questions[i])
		if err != nil || !strings.Contains(got, answers[i]) {
			t.Errorf("router %d: %v: %s", i, err, got)
		}
	}

	all[0].KillDaemon("bgpd")
	if got, err := all[0].Ask(t.Context(), questions[0]); err == nil && strings.Contains(got, "64513") {
		t.Errorf("answers after it was killed: %s", got)
	}
	if err := all[0].StartDaemon(t.Context(), "bgpd"); err != nil {
		t.Error(err)
	}
	if got, err := all[0].Ask(t.Context(), questions[0]); err != nil || !strings.Contains(got, "64513") {
		t.Errorf("is not back: %v: %s", err, got)
	}

	for i, r := range all {
		started := time.Now()
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(started); took > patience/2 {
			t.Errorf("router %d takes %s to stop", i, took)
		}
		if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
			t.Errorf("router %d leaves %s (%v)", i, r.dir, err)
		}
		if pids, _ := exec.Command("ip", "netns", "pids", strings.TrimPrefix(ns[i], "/run/netns/")).Output(); len(pids) > 0 {
			t.Errorf("router %d leaves processes %q", i, pids)
		}
	}
}

// TestStartFails: what is wrong is told in the daemon's own words, and nothing is left.
func TestStartFails(t *testing.T) {
	ns := namespace(t, "bad")
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []Config{BIRD("nonsense\n"), FRR{"routed": ""}} {
		if r, err := Start(t.Context(), t.Logf, ns, c); err == nil {
			t.Errorf("%v starts", c)
			r.Stop()
		} else if _, isBIRD := c.(BIRD); isBIRD && !strings.Contains(err.Error(), "syntax error") {
			t.Errorf("does not say why: %v", err)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("leaves %v (%v)", left, err)
	}
}
