package arp

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"
)

var (
	ourMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	theirMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	zeroMAC  = net.HardwareAddr{0, 0, 0, 0, 0, 0}
	vip      = netip.MustParseAddr("192.0.2.7")
	them     = netip.MustParseAddr("192.0.2.99")
)

// ask is a request for an address, as a neighbour sends it.
func ask(t testing.TB, sender, target netip.Addr) []byte {
	t.Helper()
	f, err := marshal(arp.OperationRequest, theirMAC, sender, zeroMAC, target, ethernet.Broadcast)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func tell(t testing.TB, sender, target netip.Addr) []byte {
	t.Helper()
	f, err := marshal(arp.OperationReply, theirMAC, sender, ourMAC, target, ourMAC)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilter(t *testing.T) {
	cases := map[string]struct {
		reason string
		addrs  []netip.Addr
		frame  []byte
		passes bool
	}{
		"Ours":    {"a request for an address of ours", []netip.Addr{vip}, ask(t, them, vip), true},
		"Probe":   {"a probe for an address of ours (RFC 5227)", []netip.Addr{vip}, ask(t, netip.IPv4Unspecified(), vip), true},
		"Others":  {"a request for another address", []netip.Addr{vip}, ask(t, vip, them), false},
		"Reply":   {"a reply, even about ours", []netip.Addr{vip}, tell(t, vip, vip), false},
		"Nothing": {"no addresses, nothing passes", nil, ask(t, them, vip), false},
		"Short":   {"a frame that ends early", []netip.Addr{vip}, ask(t, them, vip)[:30], false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			raw, err := Protocol{}.Filter(tc.addrs)
			if err != nil {
				t.Fatal(err)
			}
			program, ok := bpf.Disassemble(raw)
			if !ok {
				t.Fatal("cannot disassemble")
			}
			vm, err := bpf.NewVM(program)
			if err != nil {
				t.Fatal(err)
			}
			n, err := vm.Run(tc.frame)
			if err != nil {
				t.Fatal(err)
			}
			if (n > 0) != tc.passes {
				t.Errorf("%s: passes: %t, want %t", tc.reason, n > 0, tc.passes)
			}
		})
	}
}

func TestReply(t *testing.T) {
	r, err := parse(ask(t, them, vip))
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.reply(ourMAC)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, // to them, from us, ARP
		0, 1, 8, 0, 6, 4, 0, 2, // Ethernet, IPv4, reply
		2, 0, 0, 0, 0, 1, 192, 0, 2, 7,
		2, 0, 0, 0, 0, 2, 192, 0, 2, 99,
	}
	if diff := cmp.Diff(want, out[:len(want)]); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

func TestClaims(t *testing.T) {
	frames, err := claims(vip, ourMAC)
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4}
	want := [][]byte{
		append(append([]byte{}, head...), 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7),
		append(append([]byte{}, head...), 0, 2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 7, 2, 0, 0, 0, 0, 1, 192, 0, 2, 7),
	}
	for i := range want {
		if diff := cmp.Diff(want[i], frames[i][:len(want[i])]); diff != "" {
			t.Errorf("frame %d: -want, +got:\n%s", i, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	ipv6 := ask(t, them, vip)
	ipv6[16], ipv6[17] = 0x86, 0xdd
	token := ask(t, them, vip)
	token[15] = 6
	for name, frame := range map[string][]byte{
		"Empty": nil, "Short": ask(t, them, vip)[:40], "Reply": tell(t, them, vip), "NotIPv4": ipv6, "NotEthernet": token,
	} {
		if r, err := parse(frame); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ask(f, them, vip))                   // a request
	f.Add(tell(f, them, vip))                  // a reply
	f.Add(ask(f, them, vip)[:20])              // cut off
	f.Add(append(ask(f, them, vip), 0, 1, 23)) // padded
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := parse(frame)
		if err != nil {
			return
		}
		if !r.sender.Is4() || !r.target.Is4() || len(r.senderMAC) != 6 {
			t.Fatalf("read %+v", r)
		}
		if _, err := r.reply(ourMAC); err != nil {
			t.Fatalf("cannot answer %+v: %v", r, err)
		}
	})
}
