package ndp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

var (
	ourMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	theirMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	proxyMAC = net.HardwareAddr{2, 0, 0, 0, 0, 3}
	vip      = netip.MustParseAddr("2001:db8::a:b:c")
	them     = netip.MustParseAddr("2001:db8::99")
	withMAC  = append([]byte{1, 1}, theirMAC...) // the option that says where they are
)

// ask is a solicitation as a neighbour sends it. It is spelled out here, byte by
// byte, so that the code under test does not vouch for itself.
func ask(source, destination, target netip.Addr, options []byte, edit ...func(frame []byte)) []byte {
	group := destination.As16()
	frame := append([]byte{0x33, 0x33}, group[12:]...)
	if !destination.IsMulticast() {
		frame = append([]byte{}, ourMAC...)
	}
	frame = append(frame, theirMAC...)
	frame = append(frame, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(24+len(options)), 58, 255)
	frame = append(frame, source.AsSlice()...)
	frame = append(frame, destination.AsSlice()...)
	frame = append(frame, 135, 0, 0, 0, 0, 0, 0, 0)
	frame = append(frame, target.AsSlice()...)
	frame = append(frame, options...)
	binary.BigEndian.PutUint16(frame[56:], slowChecksum(frame))
	for _, e := range edit {
		e(frame)
	}
	return frame
}

// slowChecksum sums the pseudo-header of RFC 8200, section 8.1, written out.
func slowChecksum(frame []byte) uint16 {
	icmp := frame[54:min(len(frame), 54+int(binary.BigEndian.Uint16(frame[18:])))]
	pseudo := append([]byte{}, frame[22:54]...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(icmp)))
	pseudo = append(pseudo, 0, 0, 0, 58)
	pseudo = append(pseudo, icmp...)
	pseudo = append(pseudo, make([]byte, len(pseudo)%2)...)
	sum := 0
	for i := 0; i < len(pseudo); i += 2 {
		sum += int(binary.BigEndian.Uint16(pseudo[i:]))
	}
	return ^uint16(sum % 0xffff) // adding with end-around carry is adding modulo 65535
}

// claimed is an advertisement as a neighbour sends it, spelled out like ask.
func claimed(destination, target netip.Addr, flags byte, options []byte, edit ...func(frame []byte)) []byte {
	frame := ask(them, destination, target, options, set(54, 136), set(58, flags), sum)
	for _, e := range edit {
		e(frame)
	}
	return frame
}

// sum corrects the checksum.
func sum(frame []byte) {
	frame[56], frame[57] = 0, 0
	binary.BigEndian.PutUint16(frame[56:], slowChecksum(frame))
}

func set(offset int, value byte) func([]byte) {
	return func(frame []byte) { frame[offset] = value }
}

var (
	group = netip.MustParseAddr("ff02::1:ff0b:c")
	all   = netip.MustParseAddr("ff02::1")
	atMAC = append([]byte{2, 1}, theirMAC...) // the option that says where the target is
)

func TestFilter(t *testing.T) {
	ours := []netip.Addr{vip}
	cases := map[string]struct {
		reason string
		addrs  []netip.Addr
		frame  []byte
		passes bool
	}{
		"Ours":        {"a solicitation for an address of ours", ours, ask(them, group, vip, withMAC), true},
		"Unicast":     {"sent to the address itself: is it still there?", ours, ask(them, vip, vip, nil), true},
		"Probe":       {"a duplicate address probe", ours, ask(netip.IPv6Unspecified(), group, vip, nil), true},
		"Others":      {"a solicitation for another address of the same group", ours, ask(them, group, netip.MustParseAddr("2001:db8::b:b:c"), withMAC), false},
		"Claim":       {"an advertisement of an address of ours", ours, claimed(all, vip, override, atMAC), true},
		"Reply":       {"an advertisement to somebody else", ours, claimed(them, vip, solicited|override, atMAC), true},
		"OtherClaim":  {"an advertisement of another address", ours, claimed(all, them, override, atMAC), false},
		"RoutedClaim": {"came over a router", ours, claimed(all, vip, override, atMAC, set(21, 254)), false},
		"Redirect":    {"an ICMPv6 message of another type", ours, claimed(all, vip, override, atMAC, set(54, 137)), false},
		"TCP":         {"something else for the address", ours, ask(them, vip, vip, nil, set(20, 6)), false},
		"Routed":      {"came over a router", ours, ask(them, group, vip, withMAC, set(21, 254)), false},
		"WithCode":    {"a code that does not exist", ours, ask(them, group, vip, withMAC, set(55, 1)), false},
		"Nothing":     {"no addresses, nothing passes", nil, ask(them, group, vip, withMAC), false},
		"Short":       {"a frame that ends early", ours, ask(them, group, vip, nil)[:70], false},
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

// said is what is expected of a frame, in words.
func said(m neighbour.Message) string {
	verb := map[neighbour.Kind]string{neighbour.Question: "asks for", neighbour.Probe: "wants", neighbour.Claim: "claims"}[m.Kind]
	return fmt.Sprintf("%s (%s) %s %s", m.Sender, m.MAC, verb, m.Addr)
}

func TestParse(t *testing.T) {
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}
	const asks, claims = "2001:db8::99 (02:00:00:00:00:02) asks for 2001:db8::a:b:c", "2001:db8::99 (02:00:00:00:00:02) claims 2001:db8::a:b:c"
	cases := map[string]struct {
		reason string
		frame  []byte
		want   string
		err    error
	}{
		"Multicast":     {"says where it is", ask(them, group, vip, withMAC), asks, nil},
		"Unicast":       {"does not say where it is: where the frame came from", ask(them, vip, vip, nil), asks, nil},
		"ThroughProxy":  {"the option goes before the frame's source", ask(them, group, vip, append([]byte{1, 1}, proxyMAC...)), "2001:db8::99 (02:00:00:00:00:03) asks for 2001:db8::a:b:c", nil},
		"GroupAsSource": {"nobody is at a group's address", ask(them, group, vip, []byte{1, 1, 0x33, 0x33, 0, 0, 0, 1}), asks, nil},
		"Probe":         {"has no address yet, and a nonce (RFC 7527)", ask(netip.IPv6Unspecified(), group, vip, nonce), ":: (02:00:00:00:00:02) wants 2001:db8::a:b:c", nil},
		"OtherOptions":  {"unknown options are skipped", ask(them, group, vip, append(append([]byte{200, 1, 9, 9, 9, 9, 9, 9}, nonce...), withMAC...)), asks, nil},
		"Padded":        {"short frames are padded", append(ask(them, group, vip, withMAC), 0, 0, 0), asks, nil},

		"Claim":        {"tells all", claimed(all, vip, override, atMAC), claims, nil},
		"Reply":        {"tells who has asked", claimed(them, vip, solicited|override, atMAC), claims, nil},
		"NoOption":     {"does not say where the address is: where the frame came from", claimed(all, vip, override, nil), claims, nil},
		"OtherOption":  {"a source link-layer address does not say where the target is", claimed(all, vip, override, append([]byte{1, 1}, proxyMAC...)), claims, nil},
		"ForAnother":   {"the option goes before the frame's source", claimed(all, vip, override, append([]byte{2, 1}, proxyMAC...)), "2001:db8::99 (02:00:00:00:00:03) claims 2001:db8::a:b:c", nil},
		"GroupAsPlace": {"no address is at a group's", claimed(all, vip, override, []byte{2, 1, 0x33, 0x33, 0, 0, 0, 1}), claims, nil},

		"Empty":            {"", nil, "", errShort},
		"Short":            {"", ask(them, group, vip, nil)[:77], "", errShort},
		"CutOff":           {"says to be longer than it is", ask(them, group, vip, withMAC)[:80], "", errShort},
		"TooShort":         {"says to be shorter than a solicitation", ask(them, group, vip, nil, set(19, 23)), "", errShort},
		"Redirect":         {"", ask(them, group, vip, nil, set(54, 137)), "", errOther},
		"Code":             {"", ask(them, group, vip, nil, set(55, 1)), "", errOther},
		"IPv4":             {"", ask(them, group, vip, nil, set(14, 0x45)), "", errOther},
		"EtherType":        {"", ask(them, group, vip, nil, set(13, 0)), "", errOther},
		"Routed":           {"", ask(them, group, vip, nil, set(21, 64)), "", errRouted},
		"Checksum":         {"a bit was flipped", ask(them, group, vip, withMAC, set(85, 7)), "", errChecksum},
		"MulticastTarget":  {"", ask(them, group, group, nil), "", errMulticast},
		"MulticastSource":  {"", ask(group, group, vip, nil), "", errMulticast},
		"UnicastProbe":     {"a probe is sent to the group", ask(netip.IPv6Unspecified(), vip, vip, nil), "", errProbe},
		"ProbeWithMAC":     {"a probe does not say where it is", ask(netip.IPv6Unspecified(), group, vip, withMAC), "", errProbe},
		"EmptyOption":      {"would be read for ever", ask(them, group, vip, []byte{1, 0, 0, 0, 0, 0, 0, 0}), "", errOption},
		"OptionTooLong":    {"", ask(them, group, vip, []byte{1, 2, 0, 0, 0, 0, 0, 0}), "", errOption},
		"OptionOfOneOctet": {"", ask(them, group, vip, append(append([]byte{}, withMAC...), 1, 1)[:9]), "", errOption},

		"RoutedClaim":      {"", claimed(all, vip, override, atMAC, set(21, 64)), "", errRouted},
		"ClaimCode":        {"", claimed(all, vip, override, atMAC, set(55, 1)), "", errOther},
		"ClaimChecksum":    {"a bit was flipped", claimed(all, vip, override, atMAC, set(85, 7)), "", errChecksum},
		"ClaimOfGroup":     {"", claimed(all, group, override, atMAC), "", errMulticast},
		"SolicitedByAll":   {"nobody in particular has asked", claimed(all, vip, solicited|override, atMAC), "", errSolicited},
		"ClaimEmptyOption": {"would be read for ever", claimed(all, vip, override, []byte{2, 0, 0, 0, 0, 0, 0, 0}), "", errOption},
		"ClaimCutOff":      {"says to be longer than it is", claimed(all, vip, override, atMAC)[:80], "", errShort},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Protocol{}.Parse(tc.frame)
			if !errors.Is(err, tc.err) {
				t.Fatalf("%s: Parse(…): error %v, want %v", tc.reason, err, tc.err)
			}
			if err == nil && said(got) != tc.want {
				t.Errorf("%s: Parse(…): %s, want %s", tc.reason, said(got), tc.want)
			}
		})
	}
}

// TestParseKeepsNothing has what was read outlive the buffer that it was read from.
func TestParseKeepsNothing(t *testing.T) {
	for _, frame := range [][]byte{
		ask(them, group, vip, withMAC), ask(them, vip, vip, nil), claimed(all, vip, override, atMAC), claimed(all, vip, override, nil),
	} {
		m, err := parse(frame)
		if err != nil {
			t.Fatal(err)
		}
		before := said(m)
		clear(frame)
		if said(m) != before {
			t.Errorf("%s has become %s", before, said(m))
		}
	}
}

// told is an advertisement as it should be sent, but for its checksum, which is computed apart.
func told(toMAC net.HardwareAddr, to netip.Addr, flags byte, at net.HardwareAddr) []byte {
	frame := append(append([]byte{}, toMAC...), ourMAC...)
	frame = append(frame, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255) // IPv6, 32 bytes of ICMPv6
	frame = append(frame, vip.AsSlice()...)
	frame = append(frame, to.AsSlice()...)
	frame = append(frame, 136, 0, 0, 0, flags, 0, 0, 0)
	frame = append(frame, vip.AsSlice()...)
	frame = append(append(frame, 2, 1), at...) // target link-layer address
	binary.BigEndian.PutUint16(frame[56:], slowChecksum(frame))
	return frame
}

const solicited, override = 0x40, 0x20

var allMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}

func TestAnswer(t *testing.T) {
	cases := map[string]struct {
		reason string
		frame  []byte
		tell   net.HardwareAddr
		want   []byte
	}{
		"Multicast": {"told to who asks", ask(them, group, vip, withMAC), ourMAC, told(theirMAC, them, solicited|override, ourMAC)},
		"Unicast":   {"still here", ask(them, vip, vip, nil), ourMAC, told(theirMAC, them, solicited|override, ourMAC)},
		"Proxy": {"told to where who asks says to be", ask(them, group, vip, append([]byte{1, 1}, proxyMAC...)), ourMAC,
			told(proxyMAC, them, solicited|override, ourMAC)},
		"Probe": {"who has no address yet cannot be told alone (RFC 4861, section 7.2.4)", ask(netip.IPv6Unspecified(), group, vip, nil), ourMAC,
			told(allMAC, all, override, ourMAC)},
		"ForAnother": {"another has it; the frame is still from us", ask(them, group, vip, withMAC), proxyMAC,
			told(theirMAC, them, solicited|override, proxyMAC)},
		"ProbeForAnother": {"another has it; the frame is still from us", ask(netip.IPv6Unspecified(), group, vip, nil), proxyMAC,
			told(allMAC, all, override, proxyMAC)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			q, err := Protocol{}.Parse(tc.frame)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Protocol{}.Answer(q, ourMAC, tc.tell)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	got, err := Protocol{}.Claims(vip, ourMAC)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{told(allMAC, all, override, ourMAC)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

func TestProbe(t *testing.T) {
	got, err := Protocol{}.Probe(vip, ourMAC)
	if err != nil {
		t.Fatal(err)
	}
	want := ask(netip.IPv6Unspecified(), group, vip, nil)
	copy(want[6:], ourMAC)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

func TestGroups(t *testing.T) {
	got := Protocol{}.Groups([]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::1"), vip})
	want := []netip.Addr{netip.MustParseAddr("ff02::1:ff00:1"), group}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ask(them, group, vip, withMAC))                     // a solicitation
	f.Add(ask(them, vip, vip, nil))                           // is it still there?
	f.Add(ask(netip.IPv6Unspecified(), group, vip, nil))      // a probe
	f.Add(ask(them, group, vip, []byte{14, 0}))               // an empty option
	f.Add(ask(them, group, vip, withMAC)[:60])                // cut off
	f.Add(append(ask(them, group, vip, withMAC), 0, 1, 2))    // padded
	f.Add(ask(them, group, vip, append(withMAC, withMAC...))) // says twice where it is
	f.Add(claimed(all, vip, override, atMAC))                 // an advertisement to all
	f.Add(claimed(them, vip, solicited|override, nil))        // to who has asked
	f.Add(claimed(all, vip, override, []byte{2, 0}))          // an empty option
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > 58 { // a fuzzer does not guess checksums
			frame = append([]byte{}, frame...)
			sum(frame)
		}
		m, err := parse(frame)
		if err != nil {
			return
		}
		if m.Addr.IsMulticast() || m.Sender.IsMulticast() || len(m.MAC) != 6 {
			t.Fatalf("read %s", said(m))
		}
		if m.Kind == neighbour.Claim != (frame[54] == 136) || m.Kind == neighbour.Question && m.Sender.IsUnspecified() {
			t.Fatalf("read %s", said(m))
		}
		if _, err := answer(m, ourMAC, proxyMAC); err != nil && !m.Addr.Is4In6() {
			t.Fatalf("cannot answer %s: %v", said(m), err)
		}
	})
}
