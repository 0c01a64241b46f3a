package manifests_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fairlead-lb/fairlead/internal/debian"
)

// alertRules returns spec of the PrometheusRule, which is a rule file.
func alertRules(t *testing.T) (file []byte, names []string) {
	t.Helper()
	text, err := os.ReadFile("components/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Spec struct {
			Groups []struct {
				Name  string           `json:"name"`
				Rules []map[string]any `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	for _, g := range o.Spec.Groups {
		for _, r := range g.Rules {
			names = append(names, fmt.Sprint(r["alert"]))
		}
	}
	if file, err = json.Marshal(o.Spec); err != nil { // which YAML contains
		t.Fatal(err)
	}
	return file, names
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil && os.Getuid() != 0 {
		t.Skip("needs promtool, or root to install it")
	}
	if err := debian.Ensure(t.Context(), t.Logf, debian.Program{File: "promtool", Package: "prometheus"}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args[:2], " "), err, out)
	}
}

// faults are the series of each alert: for five minutes all is well, or as planned work has it, and then something is wrong. Each step
// is of 15 seconds.
var faults = map[string][][2]string{
	"FairleadNoController": {{`fairlead_oldest_pending_service_seconds`, `0x10 _ _ _ 0x6 stale _x20`}}, // and a leader's change before
	"FairleadNoSpeaker":    {{`fairlead_gossip_connected{instance="a"}`, `1x20 stale _x20`}},
	"FairleadTargetDown":   {{`up{job="fairlead-system/fairlead-speaker",instance="a"}`, `1x10 0x1 1x8 0x20`}},
	"FairleadNodeLost":     {{`fairlead_speaker_peers{presence="gone"}`, `0x20 1x20`}, {`fairlead_speaker_peers{presence="away"}`, `1x40`}},
	"FairleadServicePending": {
		{`fairlead_oldest_pending_service_seconds`, `0x10 15 30 0x8 0+15x20`},
	},
	"FairleadPoolExhausted": {
		{`fairlead_services{assigned="PoolExhausted"}`, `0x20 2x20`},
		{`fairlead_pool_addresses{pool="single",family="IPv4",state="available"}`, `0x40`},
	},
	"FairleadPoolAlmostFull": {
		{`fairlead_pool_addresses{pool="a",family="IPv4",state="assigned"}`, `18x20 19x20`},
		{`fairlead_pool_addresses{pool="a",family="IPv4",state="available"}`, `2x20 0x20`},
		{`fairlead_pool_addresses{pool="a",family="IPv4",state="cooling"}`, `0x20 1x20`},
		{`fairlead_pool_addresses{pool="small",family="IPv4",state="assigned"}`, `1x40`},
	},
	"FairleadServiceNotAnnounced": {
		{`fairlead_services{assigned="Assigned",announced="NoNode"}`, `0x10 1x1 0x8 1x20`},
		{`fairlead_services{assigned="Assigned",announced="NoEndpoints"}`, `1x40`},
		{`fairlead_services{assigned="PoolExhausted",announced="None"}`, `1x40`},
	},
	"FairleadAddressConflict": {{`fairlead_l2_conflicting_addresses{instance="a"}`, `0x20 1x20`}},
	"FairleadDuplicateAnnouncement": {
		{`fairlead_l2_announced{ip="192.0.2.1",node="a"}`, `1x40`}, {`fairlead_l2_announced{ip="192.0.2.1",node="b"}`, `_x10 1 stale _x8 1x20`},
	},
	"FairleadGossipDisconnected": {{`fairlead_gossip_connected{instance="a"}`, `1x20 0x20`}},
	"FairleadGossipRejected":     {{`fairlead_gossip_packets_rejected_total{instance="a"}`, `0x10 3x10 3+15x20`}},
	"FairleadSocketFailed":       {{`fairlead_l2_sockets{instance="a",protocol="NDP",state="failed"}`, `0x20 1x20`}},
	"FairleadConfigRefused": {
		{`fairlead_config_objects{kind="IPAddressPool",accepted="Overlap"}`, `0x20 1x20`},
		{`fairlead_config_objects{kind="IPAddressPool",accepted="Accepted"}`, `3x40`},
		{`fairlead_config_objects{kind="BGPPeer",accepted="None"}`, `1x40`},
	},
	"FairleadBGPSessionDown":     {{`fairlead_bgp_session_up{instance="a",peer="r"}`, `1x10 0x1 1x8 0x20`}},
	"FairleadBGPSessionFlapping": {{`fairlead_bgp_sessions_established_total{instance="a",peer="r"}`, `1x10 2x10 2+1x6 8x20`}},
	"FairleadBFDSessionDown": {
		{`fairlead_bfd_session_up{instance="a",peer="r"}`, `1x20 0x20`}, {`fairlead_bgp_session_up{instance="a",peer="r"}`, `1x40`},
		{`fairlead_bfd_session_up{instance="b",peer="r"}`, `0x40`}, {`fairlead_bgp_session_up{instance="b",peer="r"}`, `0x40`},
	},
	"FairleadStatusRefused": {
		{`fairlead_status_writes_total{resource="services",code="403"}`, `0x20 0+1x20`},
		{`fairlead_status_writes_total{resource="services",code="409"}`, `0+3x40`},
		{`fairlead_status_writes_total{resource="services",code="0"}`, `0+3x40`},
	},
	"FairleadEventsDropped": {{`fairlead_events_dropped_total{instance="a"}`, `0x20 5x20`}},
	"FairleadStrictARP":     {{`fairlead_strict_arp{instance="a"}`, `1x20 0x20`}},
}

// TestAlerts: each alert is silent until something is wrong, and fires within two minutes.
func TestAlerts(t *testing.T) {
	rules, names := alertRules(t)
	dir := t.TempDir()
	type check struct {
		Expr     string           `json:"expr"`
		EvalTime string           `json:"eval_time"`
		Exp      []map[string]any `json:"exp_samples"`
	}
	type test struct {
		Interval string              `json:"interval"`
		Series   []map[string]string `json:"input_series"`
		Checks   []check             `json:"promql_expr_test"`
	}
	var tests []test
	for _, name := range names {
		if len(faults[name]) == 0 {
			t.Errorf("nothing makes %s fire", name)
		}
		x := test{Interval: "15s"}
		for _, s := range faults[name] {
			x.Series = append(x.Series, map[string]string{"series": s[0], "values": s[1]})
		}
		firing := fmt.Sprintf(`count(ALERTS{alertname=%q,alertstate="firing"}) or vector(0)`, name)
		for at, want := range map[string]int{"1m": 0, "2m": 0, "3m15s": 0, "5m": 0, "7m15s": 1} {
			x.Checks = append(x.Checks, check{firing, at, []map[string]any{{"labels": "{}", "value": want}}})
		}
		tests = append(tests, x)
	}
	for name := range faults {
		if !strings.Contains(strings.Join(names, " ")+" ", name+" ") {
			t.Errorf("%s is no alert", name)
		}
	}
	all, err := json.Marshal(map[string]any{"rule_files": []string{"rules.yaml"}, "evaluation_interval": "15s", "tests": tests})
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{"rules.yaml": rules, "tests.yaml": all} {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "check", "rules", filepath.Join(dir, "rules.yaml"))
	promtool(t, "test", "rules", filepath.Join(dir, "tests.yaml"))
}
