package router

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBFD(t *testing.T) {
	frr := `[{"multihop":false,"peer":"fd30::11","local":"fd30::1","vrf":"default","id":3481116413,"remote-id":7,"status":"up","uptime":12},
		{"multihop":false,"peer":"172.30.0.11","local":"172.30.0.1","vrf":"default","id":2217253793,"status":"up"},
		{"multihop":false,"peer":"172.30.0.12","local":"172.30.0.1","vrf":"default","id":2557091830,"status":"down","downtime":3}]`
	bird := `BIRD 2.0.12 ready.
bfd1:
IP address                Interface  State      Since         Interval  Timeout
fd30::11                  eth0       Up         06:57:01.884    0.100    0.300
172.30.0.12               eth0       Down       06:57:01.994    1.000    0.000
172.30.0.11               eth0       Up         06:57:01.926    0.100    0.300
`
	want := []netip.Addr{netip.MustParseAddr("172.30.0.11"), netip.MustParseAddr("fd30::11")}
	fromFRR, err := ParseFRRBFD([]byte(frr))
	if err != nil {
		t.Fatal(err)
	}
	fromBIRD, err := ParseBIRDBFD(bird)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]netip.Addr{"FRR": fromFRR, "BIRD": fromBIRD} {
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s: only sessions that are up (-want +got):\n%s", name, diff)
		}
	}
	for _, text := range []string{"% BFD is not running", `[{"peer": "here", "status": "up"}]`} {
		if got, err := ParseFRRBFD([]byte(text)); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
	if got, err := ParseBIRDBFD("here eth0 Up 06:57\n"); err == nil {
		t.Errorf("no address: %v", got)
	}
}
