package bgp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// say parses messages again, and puts them into words.
func say(t *testing.T, messages [][]byte) (out []string) {
	t.Helper()
	for _, m := range messages {
		if len(m) > maxLength {
			t.Fatalf("a message has %d bytes", len(m))
		}
		parsed, err := bgp.ParseBGPMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		u, ok := parsed.Body.(*bgp.BGPUpdate)
		if !ok {
			t.Fatalf("%T", parsed.Body)
		}
		var parts []string
		for _, p := range u.WithdrawnRoutes {
			parts = append(parts, "-"+p.String())
		}
		for _, a := range u.PathAttributes {
			parts = append(parts, strings.Trim(a.String(), "{}"))
		}
		for _, p := range u.NLRI {
			parts = append(parts, "+"+p.String())
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

func TestAnnounce(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	hops := map[config.Family]netip.Addr{config.IPv4: v4, config.IPv6: v6}
	external := dialect{asn: 64512, fourOctet: true, nextHops: hops}
	internal := dialect{asn: 64512, internal: true, fourOctet: true, nextHops: hops}
	four := netip.MustParsePrefix("198.51.100.7/32")
	six := netip.MustParsePrefix("2001:db8:1::7/128")
	full := &announce.Attributes{
		MED: 7, HasMED: true, LocalPref: 50, HasLocalPref: true, Prepend: 2, Communities: []config.Community{64512<<16 | 100},
		LargeCommunities: []config.LargeCommunity{{64512, 1, 2}}, Bandwidth: 125_000_000,
	}
	leaving := *full
	leaving.GracefulShutdown = true
	wide, narrow, extended := external, external, external
	wide.asn = 4200000001
	narrow.asn, narrow.fourOctet = 4200000001, false
	extended.nextHops = map[config.Family]netip.Addr{config.IPv4: v6, config.IPv6: v6}
	cases := map[string]struct {
		reason     string
		dialect    dialect
		attributes *announce.Attributes
		prefix     netip.Prefix
		want       string
	}{
		"Plain":    {"RFC 4271", external, &announce.Attributes{}, four, "Origin: i AsPath: 64512 Nexthop: 192.0.2.1 +198.51.100.7/32"},
		"IPv6":     {"RFC 4760", external, &announce.Attributes{}, six, "MpReach(ipv6-unicast): {Nexthop: 2001:db8::1, NLRIs: [2001:db8:1::7/128] Origin: i AsPath: 64512"},
		"Extended": {"RFC 8950", extended, &announce.Attributes{}, four, "MpReach(ipv4-unicast): {Nexthop: 2001:db8::1, NLRIs: [198.51.100.7/32] Origin: i AsPath: 64512"},
		"Full": {
			"an external peer is told no local preference", external, full, four,
			"Origin: i AsPath: 64512 64512 64512 Nexthop: 192.0.2.1 Med: 7 Communities: 64512:100 Extcomms: [64512:125000000] LargeCommunity: [ 64512:1:2] +198.51.100.7/32",
		},
		"Internal": {
			"an internal one is, and finds no loop", internal, full, four,
			"Origin: i AsPath:  Nexthop: 192.0.2.1 Med: 7 LocalPref: 50 Communities: 64512:100 Extcomms: [64512:125000000] LargeCommunity: [ 64512:1:2] +198.51.100.7/32",
		},
		"Default": {"a local preference of which nothing is said", internal, &announce.Attributes{}, four, "Origin: i AsPath:  Nexthop: 192.0.2.1 LocalPref: 100 +198.51.100.7/32"},
		"Leaving": {
			"RFC 8326: the least preference", internal, &leaving, four,
			"Origin: i AsPath:  Nexthop: 192.0.2.1 Med: 7 LocalPref: 0 Communities: 64512:100, planned-shut Extcomms: [64512:125000000] LargeCommunity: [ 64512:1:2] +198.51.100.7/32",
		},
		"Wide":   {"RFC 6793", wide, &announce.Attributes{}, four, "Origin: i AsPath: 4200000001 Nexthop: 192.0.2.1 +198.51.100.7/32"},
		"Narrow": {"RFC 6793, section 4.2.2", narrow, &announce.Attributes{}, four, "Origin: i AsPath: 23456 Nexthop: 192.0.2.1 4200000001 +198.51.100.7/32"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := say(t, tc.dialect.announce(config.FamilyOf(tc.prefix.Addr()), tc.attributes, []netip.Prefix{tc.prefix}))
			if diff := cmp.Diff([]string{tc.want}, got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// However many prefixes and communities there are, each message fits, and nothing is left out.
func TestLongMessages(t *testing.T) {
	a := &announce.Attributes{Prepend: 16}
	for i := range 64 {
		a.Communities = append(a.Communities, config.Community(i))
		a.LargeCommunities = append(a.LargeCommunities, config.LargeCommunity{uint32(i), 1, 2})
	}
	d := dialect{asn: 4200000001, fourOctet: true, nextHops: map[config.Family]netip.Addr{
		config.IPv4: netip.MustParseAddr("192.0.2.1"), config.IPv6: netip.MustParseAddr("2001:db8::1"),
	}}
	for _, f := range []config.Family{config.IPv4, config.IPv6} {
		var prefixes []netip.Prefix
		at := map[config.Family]netip.Addr{config.IPv4: netip.MustParseAddr("198.18.0.0"), config.IPv6: netip.MustParseAddr("2001:db8:1::")}[f]
		for range 5000 {
			prefixes = append(prefixes, netip.PrefixFrom(at, at.BitLen()))
			at = at.Next()
		}
		announced, withdrawn := strings.Join(say(t, d.announce(f, a, prefixes)), " "), strings.Join(say(t, d.withdraw(f, prefixes)), " ")
		for _, p := range prefixes {
			if !strings.Contains(announced, p.String()) || !strings.Contains(withdrawn, p.String()) {
				t.Fatalf("%s is left out", p)
			}
		}
	}
	for _, f := range []config.Family{config.IPv4, config.IPv6} {
		if end, _ := mustParse(t, endOfRIB(f)).IsEndOfRib(); !end {
			t.Errorf("End-of-RIB of %s is none", f)
		}
	}
}

func mustParse(t *testing.T, m []byte) *bgp.BGPUpdate {
	t.Helper()
	parsed, err := bgp.ParseBGPMessage(m)
	if err != nil {
		t.Fatal(err)
	}
	u, ok := parsed.Body.(*bgp.BGPUpdate)
	if !ok {
		t.Fatalf("%T", parsed.Body)
	}
	return u
}

func TestNextHops(t *testing.T) {
	addr := netip.MustParseAddr
	on := []netip.Addr{addr("fe80::1"), addr("192.0.2.1"), addr("192.0.2.9"), addr("2001:db8::1")}
	for name, tc := range map[string]struct {
		reason   string
		local    netip.Addr
		of       []netip.Addr
		extended bool
		want     string
	}{
		"IPv4":      {"IPv6 routes get an address of the interface that is not link-local", addr("192.0.2.9"), on, false, "IPv4=192.0.2.9 IPv6=2001:db8::1"},
		"IPv4Only":  {"or none", addr("192.0.2.9"), on[:3], false, "IPv4=192.0.2.9"},
		"IPv6":      {"without RFC 8950 IPv4 routes get an IPv4 address", addr("2001:db8::1"), on, false, "IPv4=192.0.2.1 IPv6=2001:db8::1"},
		"Extended":  {"with it, the session's own", addr("2001:db8::1"), on, true, "IPv4=2001:db8::1 IPv6=2001:db8::1"},
		"LinkLocal": {"unnumbered", addr("fe80::1%eth0"), on, true, "IPv4=fe80::1 IPv6=fe80::1"},
		"Unknown":   {"an interface that has gone", addr("192.0.2.9"), nil, true, "IPv4=192.0.2.9"},
	} {
		var parts []string
		hops := nextHops(tc.local, tc.of, tc.extended)
		for _, f := range []config.Family{config.IPv4, config.IPv6} {
			if hops[f].IsValid() {
				parts = append(parts, fmt.Sprintf("%s=%s", f, hops[f]))
			}
		}
		if got := strings.Join(parts, " "); got != tc.want {
			t.Errorf("%s: %s: %s, want %s", name, tc.reason, got, tc.want)
		}
	}
}
