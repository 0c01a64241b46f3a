//go:build linux

package lab

import "fmt"

// frrConfig returns what FRR's daemons read, by file. Each knows only its own part.
func frrConfig(r Routing) map[string]string {
	head := "hostname " + Router1 + "\n"
	return map[string]string{
		"zebra.conf": head,
		"bfdd.conf":  head + frrBFD(r.BFD),
		"bgpd.conf":  head + frrBGP(r),
	}
}

// bfdProfile is the name of the routers' BFD profile.
const bfdProfile = "nodes"

func frrBFD(b BFD) string {
	if b == (BFD{}) {
		return ""
	}
	return fmt.Sprintf(`bfd
 profile %s
  receive-interval %[2]d
  transmit-interval %[2]d
  detect-multiplier %[3]d
`, bfdProfile, b.millis(), b.Multiplier)
}

// frrBGP is as short as it can be. FRR helps neighbours to restart (RFC 4724) and honours GRACEFUL_SHUTDOWN (RFC 8326) by itself. It
// is not configured to check the control plane after BFD: it would keep the routes of a node whose cable was pulled.
func frrBGP(r Routing) string {
	var security, bfd string
	if r.Password != "" {
		security = " neighbor nodes password " + r.Password + "\n"
	}
	if r.BFD != (BFD{}) {
		bfd = " neighbor nodes bfd profile " + bfdProfile + "\n"
	}
	return fmt.Sprintf(`router bgp %d
 bgp router-id %s
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor nodes peer-group
 neighbor nodes remote-as %d
%s%s bgp listen limit 1000
 bgp listen range %s peer-group nodes
 bgp listen range %s peer-group nodes
 address-family ipv4 unicast
  neighbor nodes activate
  maximum-paths 8
 exit-address-family
 address-family ipv6 unicast
  neighbor nodes activate
  maximum-paths 8
 exit-address-family
`, RoutersASN, Router1Addrs.V4, NodesASN, security, bfd, NodesV4, NodesV6)
}

// birdConfig tells BIRD what FRR does unasked.
func birdConfig(r Routing) map[string]string {
	var security, bfd, timers string
	if r.Password != "" {
		security = fmt.Sprintf("  password %q;\n", r.Password)
	}
	if r.BFD != (BFD{}) {
		bfd = "  bfd on;\n"
		if r.Graceful {
			bfd = "  bfd graceful;\n"
		}
		timers = fmt.Sprintf(" interface \"eth0\" { interval %d ms; multiplier %d; }; ", r.BFD.millis(), r.BFD.Multiplier)
	}
	return map[string]string{"bird.conf": fmt.Sprintf(`log stderr all;
router id %s;

protocol device { scan time 2; }
protocol bfd {%s}
protocol kernel { ipv4 { import none; export all; }; merge paths yes limit 8; }
protocol kernel { ipv6 { import none; export all; }; merge paths yes limit 8; }

filter from_nodes {
  if (65535, 0) ~ bgp_community then bgp_local_pref = 0; # GRACEFUL_SHUTDOWN, RFC 8326
  accept;
}

template bgp nodes {
  local as %d;
  passive;
  graceful restart aware;
  error wait time 1, 2; # by default a node whose BFD session was lost is refused for a minute and more
%s%s  ipv4 { import filter from_nodes; export none; };
  ipv6 { import filter from_nodes; export none; };
}
protocol bgp from_v4 from nodes { neighbor range %s as %d; dynamic name "node"; }
protocol bgp from_v6 from nodes { neighbor range %s as %[7]d; dynamic name "node_v6_"; }
`, Router2Addrs.V4, timers, RoutersASN, security, bfd, NodesV4, NodesASN, NodesV6)}
}
