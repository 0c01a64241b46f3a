package arp

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

var (
	ourMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	theirMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	otherMAC = net.HardwareAddr{2, 0, 0, 0, 0, 3}
	vip      = netip.MustParseAddr("192.0.2.7")
	them     = netip.MustParseAddr("192.0.2.99")
	none     = netip.IPv4Unspecified()
)

// ask is a request for an address, as a neighbour sends it.
func ask(t testing.TB, sender, target netip.Addr) []byte {
	t.Helper()
	f, err := marshal(arp.OperationRequest, theirMAC, ethernet.Broadcast, party{theirMAC, sender}, party{nobody, target})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func tell(t testing.TB, sender, target netip.Addr) []byte {
	t.Helper()
	f, err := marshal(arp.OperationReply, theirMAC, ourMAC, party{theirMAC, sender}, party{ourMAC, target})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// edit returns a frame in which a byte is another.
func edit(frame []byte, offset int, value byte) []byte {
	frame[offset] = value
	return frame
}

func TestFilter(t *testing.T) {
	ours := []netip.Addr{vip}
	cases := map[string]struct {
		reason string
		addrs  []netip.Addr
		frame  []byte
		passes bool
	}{
		"Ours":         {"a request for an address of ours", ours, ask(t, them, vip), true},
		"Probe":        {"a probe for an address of ours (RFC 5227)", ours, ask(t, none, vip), true},
		"Others":       {"a request for another address", ours, ask(t, vip, them), false},
		"Announcement": {"a claim of an address of ours, by a request", ours, ask(t, vip, vip), true},
		"Reply":        {"a claim of an address of ours, by a reply to somebody", ours, tell(t, vip, them), true},
		"Gratuitous":   {"a claim of an address of ours, by a reply to nobody", ours, tell(t, vip, vip), true},
		"ReplyToUs":    {"a reply to an address of ours, about another", ours, tell(t, them, vip), false},
		"OthersReply":  {"a reply about another address", ours, tell(t, them, them), false},
		"Reverse":      {"an operation that nobody uses any more (RFC 903)", ours, edit(ask(t, vip, vip), 21, 3), false},
		"Nothing":      {"no addresses, nothing passes", nil, ask(t, them, vip), false},
		"Short":        {"a frame that ends early", ours, ask(t, them, vip)[:30], false},
		"ShortReply":   {"a frame that ends early", ours, tell(t, vip, them)[:30], false},
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

// same compares addresses, into which cmp cannot look.
var same = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestParse(t *testing.T) {
	cases := map[string]struct {
		reason string
		frame  []byte
		want   neighbour.Message
	}{
		"Request":      {"asks", ask(t, them, vip), neighbour.Message{Kind: neighbour.Question, Addr: vip, MAC: theirMAC, Sender: them}},
		"Padded":       {"short frames are padded", append(ask(t, them, vip), 0, 1, 23), neighbour.Message{Kind: neighbour.Question, Addr: vip, MAC: theirMAC, Sender: them}},
		"Probe":        {"has no address yet (RFC 5227, section 1.1)", ask(t, none, vip), neighbour.Message{Kind: neighbour.Probe, Addr: vip, MAC: theirMAC, Sender: none}},
		"Announcement": {"asks for what it has itself", ask(t, vip, vip), neighbour.Message{Kind: neighbour.Claim, Addr: vip, MAC: theirMAC, Sender: vip}},
		"Reply":        {"claims, whoever is told", tell(t, vip, them), neighbour.Message{Kind: neighbour.Claim, Addr: vip, MAC: theirMAC, Sender: vip}},
		"Gratuitous":   {"claims, and nobody has asked", tell(t, vip, vip), neighbour.Message{Kind: neighbour.Claim, Addr: vip, MAC: theirMAC, Sender: vip}},
		"Proxy":        {"the address is where the packet says, not where the frame comes from", edit(tell(t, vip, them), 11, 9), neighbour.Message{Kind: neighbour.Claim, Addr: vip, MAC: theirMAC, Sender: vip}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Protocol{}.Parse(tc.frame)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, same); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, frame := range map[string][]byte{
		"Empty": nil, "Short": ask(t, them, vip)[:40], "ShortReply": tell(t, vip, them)[:40],
		"Reverse": edit(ask(t, them, vip), 21, 3), "NotARP": edit(ask(t, them, vip), 13, 0),
		"NotIPv4": edit(ask(t, them, vip), 16, 0x86), "NotEthernet": edit(ask(t, them, vip), 15, 6),
		"NotIPv4Reply": edit(tell(t, vip, them), 16, 0x86), "NoSender": edit(tell(t, vip, them), 18, 0),
	} {
		if m, err := parse(frame); err == nil {
			t.Errorf("%s: read as %+v", name, m)
		}
	}
}

func TestAnswer(t *testing.T) {
	cases := map[string]struct {
		reason   string
		question []byte
		tell     net.HardwareAddr
		want     []byte // sender and target
	}{
		"Request": {
			"to them, from us, who have it", ask(t, them, vip), ourMAC,
			[]byte{2, 0, 0, 0, 0, 1, 192, 0, 2, 7, 2, 0, 0, 0, 0, 2, 192, 0, 2, 99},
		},
		"Probe": {
			"who has no address is told too", ask(t, none, vip), ourMAC,
			[]byte{2, 0, 0, 0, 0, 1, 192, 0, 2, 7, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0},
		},
		"ForAnother": {
			"another has it; the frame is still from us", ask(t, them, vip), otherMAC,
			[]byte{2, 0, 0, 0, 0, 3, 192, 0, 2, 7, 2, 0, 0, 0, 0, 2, 192, 0, 2, 99},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			q, err := Protocol{}.Parse(tc.question)
			if err != nil {
				t.Fatal(err)
			}
			out, err := Protocol{}.Answer(q, ourMAC, tc.tell)
			if err != nil {
				t.Fatal(err)
			}
			head := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2} // ARP, Ethernet, IPv4, reply
			want := slices.Concat(head, tc.want)
			if diff := cmp.Diff(want, out[:len(want)]); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestUnasked spells out the frames that are sent unasked.
func TestUnasked(t *testing.T) {
	frames, err := Protocol{}.Claims(vip, ourMAC)
	if err != nil {
		t.Fatal(err)
	}
	probe, err := Protocol{}.Probe(vip, ourMAC)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Concat(frames, [][]byte{probe})
	head := []byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4}
	want := [][]byte{
		append(append([]byte{}, head...), 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7),
		append(append([]byte{}, head...), 0, 2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 7, 2, 0, 0, 0, 0, 1, 192, 0, 2, 7),
		append(append([]byte{}, head...), 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7),
	}
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range want {
		if diff := cmp.Diff(want[i], got[i][:len(want[i])]); diff != "" {
			t.Errorf("frame %d: -want, +got:\n%s", i, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ask(f, them, vip))                   // a request
	f.Add(ask(f, none, vip))                   // a probe
	f.Add(ask(f, vip, vip))                    // an announcement
	f.Add(tell(f, them, vip))                  // a reply
	f.Add(tell(f, vip, vip))                   // a gratuitous one
	f.Add(ask(f, them, vip)[:20])              // cut off
	f.Add(append(ask(f, them, vip), 0, 1, 23)) // padded
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := parse(frame)
		if err != nil {
			return
		}
		if !m.Sender.Is4() || !m.Addr.Is4() || len(m.MAC) != 6 {
			t.Fatalf("read %+v", m)
		}
		if m.Kind == neighbour.Probe && !m.Sender.IsUnspecified() || m.Kind == neighbour.Claim && m.Sender != m.Addr {
			t.Fatalf("read %+v", m)
		}
		if _, err := answer(m, ourMAC, otherMAC); err != nil {
			t.Fatalf("cannot answer %+v: %v", m, err)
		}
	})
}
