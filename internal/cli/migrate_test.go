package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// migrate runs migrate metallb with what comes in.
func migrate(t *testing.T, in string, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = Run(context.Background(), append([]string{"migrate", "metallb", "--from", "-"}, args...), strings.NewReader(in), &o, &e)
	return status, o.String(), e.String()
}

func metallb(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/metallb.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestMigrate: every field of MetalLB's becomes one of ours, and nothing would change for the Services.
func TestMigrate(t *testing.T) {
	status, out, errs := migrate(t, metallb(t))
	if status != exitOK || errs != "" {
		t.Errorf("status %d, errors %q", status, errs)
	}
	golden(t, "metallb-converted.yaml", out)

	file := filepath.Join(t.TempDir(), "fairlead.yaml")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := run(t, "validate", "-f", file); status != exitOK {
		t.Errorf("what was written is not valid: %s%s", out, errs)
	}
	status, out, errs = migrate(t, metallb(t), "--rehearse")
	if status != exitOK || errs != "" {
		t.Errorf("status %d, errors %q", status, errs)
	}
	golden(t, "metallb-rehearsal.txt", out)
}

// TestNoEquivalent: what Fairlead cannot do stops a migration, with the object and the reason.
func TestNoEquivalent(t *testing.T) {
	const peer = "{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: x}, spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, %s}}"
	for name, tc := range map[string]struct{ in, want string }{
		"VRF":      {strings.Replace(peer, "%s", "vrf: red", 1), "stdin:1: error: bgppeer x: NoEquivalent: vrf:"},
		"Password": {strings.Replace(peer, "%s", "password: secret", 1), "bgppeer x: NoEquivalent: password is in plain text"},
		"Field":    {strings.Replace(peer, "%s", "newField: 1", 1), `bgppeer x: NoEquivalent: unknown field "newField"`},
		"Echo":     {"{apiVersion: metallb.io/v1beta1, kind: BFDProfile, metadata: {name: x}, spec: {echoMode: true}}", "bfdprofile x: NoEquivalent: echoMode"},
		"Kind":     {"{apiVersion: metallb.io/v1beta3, kind: Novelty, metadata: {name: x}}", "novelty x: NoEquivalent: this kind is not known"},
		"Raw":      {strings.Replace(peer, ", %s", "", 1) + "\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: bgpextras}, data: {extras: router bgp}}", "stdin:3: error: configmap bgpextras: NoEquivalent: raw configuration"},
		"Twice": {
			"{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: x, namespace: a}, spec: {addresses: [192.0.2.0/28]}}\n---\n" +
				"{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: x, namespace: b}, spec: {addresses: [192.0.2.0/28]}}", "ipaddresspool x: Duplicate: it is also at stdin:1",
		},
		"Refused": {"{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: x}, spec: {addresses: [nonsense]}}", "ipaddresspool x: InvalidAddresses"},
		"Nothing": {"{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}", "there is nothing of MetalLB in -"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := migrate(t, tc.in)
			if status != exitError || !strings.Contains(out+errs, tc.want) || strings.Contains(out, "apiVersion") {
				t.Errorf("status %d:\n%s%s\nwant status 2, no manifests, and %q", status, out, errs, tc.want)
			}
		})
	}
}

// TestMigrationFlags: what does not go together is refused before anything is read.
func TestMigrationFlags(t *testing.T) {
	for _, args := range [][]string{{"--apply", "--back"}, {"--apply", "--rehearse"}, {"--from", "x", "--apply"}, {"--from", "x", "--back"}} {
		status, out, errs := run(t, append([]string{"migrate", "metallb"}, args...)...)
		if status != exitError || out != "" || !strings.Contains(errs, "exclude each other") {
			t.Errorf("%v: status %d: %s%s", args, status, out, errs)
		}
	}
}

// TestRehearsal: a Service that would have another address says which, and why.
func TestRehearsal(t *testing.T) {
	in := strings.Replace(metallb(t), "192.0.2.17/28", "192.0.2.32/29", 1) // without the address of shop/web
	status, out, _ := migrate(t, in, "--rehearse", "-o", "json")
	if status != exitOK || !strings.Contains(out, `"changes": []`) { // it belongs to no pool: it is left alone
		t.Errorf("status %d: %s", status, out)
	}
	in = strings.Replace(metallb(t), "loadBalancerIPs: 203.0.113.9}\nspec: {type: LoadBalancer, loadBalancerClass: metallb, ipFamilies: [IPv4], ports: [{port: 443}]}",
		"loadBalancerIPs: 203.0.113.9}\nspec: {type: LoadBalancer, loadBalancerClass: metallb, ipFamilies: [IPv4], ports: [{port: 80}]}", 1)
	status, out, _ = migrate(t, in, "--rehearse")
	if status != exitOK || !strings.Contains(out, "0 of 3 Services change") { // two with one port keep what they show
		t.Errorf("status %d: %s", status, out)
	}
	in = strings.Replace(metallb(t), "ipFamilies: [IPv4], ports: [{port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.18}]}}",
		"ipFamilies: [IPv4, IPv6], ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.18}]}}", 1)
	status, out, _ = migrate(t, in, "--rehearse")
	if status != exitWrong || !strings.Contains(out, "shop/web   192.0.2.18   192.0.2.18,2001:db8::   gains") {
		t.Errorf("status %d: %s", status, out)
	}
}
