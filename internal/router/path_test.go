package router

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestParse reads what FRR 8.4 and BIRD 2.0.12 said of the same neighbours: each of two nodes has a session over either family. One
// prepends, and is about to go.
func TestParse(t *testing.T) {
	one := Path{ASPath: []uint32{64512}, Communities: []string{"64512:100"}, LargeCommunities: []string{"64512:1:2"}, MED: 7}
	two := Path{
		ASPath: []uint32{64512, 64512}, Communities: []string{"64512:100", GracefulShutdown}, LargeCommunities: []string{"64512:1:2"},
		LinkBandwidth: 1e8,
	}
	six := Path{ASPath: []uint32{64512}, Communities: []string{"64512:100"}}
	tests := map[string]struct {
		reason string
		parse  func([]byte) ([]Path, error)
		want   []Path
	}{
		"frr-v4.json": {"FRR shows no preference towards another autonomous system", ParseFRR, []Path{
			via(one, "172.30.0.11", "172.30.0.11"), via(one, "172.30.0.11", "fd30::11"),
			via(two, "172.30.0.12", "172.30.0.12"), via(two, "172.30.0.12", "fd30::12"),
		}},
		"frr-v6.json": {"of two next hops the global one is told", ParseFRR, []Path{
			via(six, "fd30::11", "172.30.0.11"), via(six, "fd30::11", "fd30::11"),
			via(six, "fd30::12", "172.30.0.12"), via(six, "fd30::12", "fd30::12"),
		}},
		"frr-stale.json": {"a neighbour that restarts keeps its routes", ParseFRR, []Path{
			{From: netip.MustParseAddr("172.30.0.11"), NextHop: netip.MustParseAddr("172.30.0.11"), ASPath: []uint32{64512}, Stale: true, Best: true},
		}},
		"frr-none.json": {"what the router does not have has no path", ParseFRR, nil},
		"bird-v4.txt": {"the neighbour is named unless it is the next hop", parseBIRD, []Path{
			via(preferred(one, 100), "172.30.0.11", "172.30.0.11"), via(preferred(one, 100), "172.30.0.11", "fd30::11"),
			via(preferred(two, 0), "172.30.0.12", "172.30.0.12"), via(preferred(two, 0), "172.30.0.12", "fd30::12"),
		}},
		"bird-v6.txt": {"of two next hops the global one is told", parseBIRD, []Path{
			via(preferred(six, 100), "fd30::11", "172.30.0.11"), via(preferred(six, 100), "fd30::11", "fd30::11"),
			via(preferred(six, 100), "fd30::12", "172.30.0.12"), via(preferred(six, 100), "fd30::12", "fd30::12"),
		}},
		"bird-unnumbered.txt": {"a neighbour without an address has a link-local next hop alone", parseBIRD, []Path{
			via(preferred(Path{ASPath: []uint32{64512}}, 100), "fe80::1", "fe80::1"),
		}},
		"bird-none.txt": {"what the router does not have has no path", parseBIRD, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := tc.parse(text)
			if err != nil {
				t.Fatal(err)
			}
			checkBest(t, got)
			if diff := cmp.Diff(clearBest(tc.want), clearBest(got), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func parseBIRD(text []byte) ([]Path, error) { return ParseBIRD(string(text)) }

func via(p Path, hop, from string) Path {
	p.NextHop, p.From = netip.MustParseAddr(hop), netip.MustParseAddr(from)
	return p
}

func preferred(p Path, by uint32) Path {
	p.LocalPref = by
	return p
}

// checkBest: of several paths one is the best, and it is not one that is about to go.
func checkBest(t *testing.T, paths []Path) {
	t.Helper()
	var best []Path
	for _, p := range paths {
		if p.Best {
			best = append(best, p)
		}
	}
	if len(paths) > 0 && (len(best) != 1 || len(best[0].ASPath) != 1) {
		t.Errorf("the best of %d paths are %v", len(paths), best)
	}
}

func clearBest(paths []Path) (out []Path) {
	for _, p := range paths {
		p.Best = false
		out = append(out, p)
	}
	return out
}

func TestNextHops(t *testing.T) {
	a, b := netip.MustParseAddr("172.30.0.11"), netip.MustParseAddr("172.30.0.12")
	got := NextHops([]Path{{NextHop: b}, {NextHop: a}, {NextHop: b}})
	if diff := cmp.Diff([]netip.Addr{a, b}, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("each is told once (-want +got):\n%s", diff)
	}
}

// TestParseNonsense: what a router never says is an error, not an empty answer.
func TestParseNonsense(t *testing.T) {
	for name, text := range map[string]string{
		"FRRText":      "% Network not in table",
		"FRRNeighbour": `{"paths": [{"peer": {"peerId": "(unspec)"}}]}`,
	} {
		if got, err := ParseFRR([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	const head = "192.0.2.7/32  unicast [node 07:03:18.452] * (100) [AS64512i]\n"
	for name, text := range map[string]string{
		"Number":    head + "\tBGP.med: many\n",
		"NextHop":   head + "\tBGP.next_hop: here\n",
		"Neighbour": "192.0.2.7/32  unicast [node 07:03:18.452 from here] (100)\n",
	} {
		if got, err := ParseBIRD(text); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}
