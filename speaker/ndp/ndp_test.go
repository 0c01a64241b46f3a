package ndp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
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

func set(offset int, value byte) func([]byte) {
	return func(frame []byte) { frame[offset] = value }
}

var group = netip.MustParseAddr("ff02::1:ff0b:c")

func TestFilter(t *testing.T) {
	ours := []netip.Addr{vip}
	cases := map[string]struct {
		reason string
		addrs  []netip.Addr
		frame  []byte
		passes bool
	}{
		"Ours":     {"a solicitation for an address of ours", ours, ask(them, group, vip, withMAC), true},
		"Unicast":  {"sent to the address itself: is it still there?", ours, ask(them, vip, vip, nil), true},
		"Probe":    {"a duplicate address probe", ours, ask(netip.IPv6Unspecified(), group, vip, nil), true},
		"Others":   {"a solicitation for another address of the same group", ours, ask(them, group, netip.MustParseAddr("2001:db8::b:b:c"), withMAC), false},
		"Answer":   {"an advertisement", ours, ask(them, group, vip, withMAC, set(54, 136)), false},
		"TCP":      {"something else for the address", ours, ask(them, vip, vip, nil, set(20, 6)), false},
		"Routed":   {"came over a router", ours, ask(them, group, vip, withMAC, set(21, 254)), false},
		"WithCode": {"a code that does not exist", ours, ask(them, group, vip, withMAC, set(55, 1)), false},
		"Nothing":  {"no addresses, nothing passes", nil, ask(them, group, vip, withMAC), false},
		"Short":    {"a frame that ends early", ours, ask(them, group, vip, nil)[:70], false},
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

func TestParse(t *testing.T) {
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}
	cases := map[string]struct {
		reason string
		frame  []byte
		want   string
		err    error
	}{
		"Multicast":     {"says where it is", ask(them, group, vip, withMAC), "2001:db8::99 (02:00:00:00:00:02) asks for 2001:db8::a:b:c", nil},
		"Unicast":       {"does not say where it is: where the frame came from", ask(them, vip, vip, nil), "2001:db8::99 (02:00:00:00:00:02) asks for 2001:db8::a:b:c", nil},
		"ThroughProxy":  {"the option goes before the frame's source", ask(them, group, vip, append([]byte{1, 1}, proxyMAC...)), "2001:db8::99 (02:00:00:00:00:03) asks for 2001:db8::a:b:c", nil},
		"GroupAsSource": {"nobody is at a group's address", ask(them, group, vip, []byte{1, 1, 0x33, 0x33, 0, 0, 0, 1}), "2001:db8::99 (02:00:00:00:00:02) asks for 2001:db8::a:b:c", nil},
		"Probe":         {"has no address yet, and a nonce (RFC 7527)", ask(netip.IPv6Unspecified(), group, vip, nonce), ":: (02:00:00:00:00:02) asks for 2001:db8::a:b:c", nil},
		"OtherOptions":  {"unknown options are skipped", ask(them, group, vip, append(append([]byte{200, 1, 9, 9, 9, 9, 9, 9}, nonce...), withMAC...)), "2001:db8::99 (02:00:00:00:00:02) asks for 2001:db8::a:b:c", nil},
		"Padded":        {"short frames are padded", append(ask(them, group, vip, withMAC), 0, 0, 0), "2001:db8::99 (02:00:00:00:00:02) asks for 2001:db8::a:b:c", nil},

		"Empty":            {"", nil, "", errShort},
		"Short":            {"", ask(them, group, vip, nil)[:77], "", errShort},
		"CutOff":           {"says to be longer than it is", ask(them, group, vip, withMAC)[:80], "", errShort},
		"TooShort":         {"says to be shorter than a solicitation", ask(them, group, vip, nil, set(19, 23)), "", errShort},
		"Answer":           {"", ask(them, group, vip, nil, set(54, 136)), "", errOther},
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
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parse(tc.frame)
			if !errors.Is(err, tc.err) {
				t.Fatalf("%s: parse(…): error %v, want %v", tc.reason, err, tc.err)
			}
			if err == nil && got.String() != tc.want {
				t.Errorf("%s: parse(…): %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

// advertisement is one as it should be sent, but for its checksum, which is computed apart.
func advertisement(toMAC net.HardwareAddr, to netip.Addr, flags byte) []byte {
	frame := append(append([]byte{}, toMAC...), ourMAC...)
	frame = append(frame, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255) // IPv6, 32 bytes of ICMPv6
	frame = append(frame, vip.AsSlice()...)
	frame = append(frame, to.AsSlice()...)
	frame = append(frame, 136, 0, 0, 0, flags, 0, 0, 0)
	frame = append(frame, vip.AsSlice()...)
	frame = append(frame, 2, 1, 2, 0, 0, 0, 0, 1) // target link-layer address: ours
	binary.BigEndian.PutUint16(frame[56:], slowChecksum(frame))
	return frame
}

const solicited, override = 0x40, 0x20

func TestAnswer(t *testing.T) {
	ours := func(a netip.Addr) bool { return a == vip }
	cases := map[string]struct {
		reason string
		frame  []byte
		want   []byte
	}{
		"Multicast": {"told to who asks", ask(them, group, vip, withMAC), advertisement(theirMAC, them, solicited|override)},
		"Unicast":   {"still here", ask(them, vip, vip, nil), advertisement(theirMAC, them, solicited|override)},
		"Proxy":     {"told to where who asks says to be", ask(them, group, vip, append([]byte{1, 1}, proxyMAC...)), advertisement(proxyMAC, them, solicited|override)},
		"Probe": {"who has no address yet cannot be told alone (RFC 4861, section 7.2.4)", ask(netip.IPv6Unspecified(), group, vip, nil),
			advertisement(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, netip.MustParseAddr("ff02::1"), override)},
		"Others": {"not ours", ask(them, group, netip.MustParseAddr("2001:db8::b:b:c"), withMAC), nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Protocol{}.Answer(tc.frame, ourMAC, ours)
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
	want := [][]byte{advertisement(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, netip.MustParseAddr("ff02::1"), override)}
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
	f.Add(ask(them, group, vip, withMAC, set(54, 136)))       // an advertisement
	f.Add(ask(them, group, vip, append(withMAC, withMAC...))) // says twice where it is
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > 58 { // a fuzzer does not guess checksums
			frame = append([]byte{}, frame...)
			frame[56], frame[57] = 0, 0
			binary.BigEndian.PutUint16(frame[56:], slowChecksum(frame))
		}
		s, err := parse(frame)
		if err != nil {
			return
		}
		if s.target.IsMulticast() || s.source.IsMulticast() || len(s.mac) != 6 {
			t.Fatalf("read %s", s)
		}
		if _, err := s.answer(ourMAC); err != nil && !s.target.Is4In6() {
			t.Fatalf("cannot answer %s: %v", s, err)
		}
	})
}
