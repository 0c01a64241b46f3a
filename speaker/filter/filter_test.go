package filter

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// A frame of these tests is the byte 7, a kind, and an address, which in
// frames of kind late comes after four bytes of something else.
const soon, late = 1, 2

var (
	seven = []Field{{Offset: 0, Size: 1, Value: 7}}
	kinds = []Kind{{Field{1, 1, soon}, 2}, {Field{1, 1, late}, 6}}
)

func frame(first byte, a string) []byte {
	return append([]byte{first, soon}, netip.MustParseAddr(a).AsSlice()...)
}

func lateFrame(decoy, a string) []byte {
	f := append([]byte{7, late}, netip.MustParseAddr(decoy).AsSlice()[:4]...)
	return append(f, netip.MustParseAddr(a).AsSlice()...)
}

func addresses(a ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range a {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// many returns every third address from one on: about eleven in a block.
func many(first string, n int) []netip.Addr { return every(3, first, n) }

func every(step uint32, first string, n int) []netip.Addr {
	b := netip.MustParseAddr(first).AsSlice()
	last := b[len(b)-4:]
	var out []netip.Addr
	for range n {
		a, _ := netip.AddrFromSlice(b)
		out = append(out, a)
		binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)+step)
	}
	return out
}

// spread returns an address in each of some networks.
func spread(n int) []netip.Addr {
	var out []netip.Addr
	for i := range n {
		out = append(out, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(i), 15: byte(i)}))
	}
	return out
}

func TestProgram(t *testing.T) {
	ten, db8, sparse := many("10.0.0.0", 3000), many("2001:db8::", 3000), every(100, "10.0.0.0", maxBlocks)
	cases := map[string]struct {
		reason string
		addrs  []netip.Addr
		frame  []byte
		passes bool
	}{
		"IPv4":               {"the address", addresses("192.0.2.7"), frame(7, "192.0.2.7"), true},
		"IPv4Other":          {"another address", addresses("192.0.2.7"), frame(7, "192.0.2.8"), false},
		"OtherField":         {"not a question", addresses("192.0.2.7"), frame(8, "192.0.2.7"), false},
		"OtherKind":          {"neither a question nor a claim", addresses("192.0.2.7"), append([]byte{7, 3}, frame(7, "192.0.2.7")[2:]...), false},
		"Late":               {"the address where this kind has it", addresses("192.0.2.7"), lateFrame("192.0.2.8", "192.0.2.7"), true},
		"LateOther":          {"the address where another kind has it", addresses("192.0.2.7"), lateFrame("192.0.2.7", "192.0.2.8"), false},
		"LateIPv6":           {"the address where this kind has it", addresses("2001:db8::7"), lateFrame("2001:db8::7", "2001:db8::7"), true},
		"LateIPv6Other":      {"another address", addresses("2001:db8::7"), lateFrame("2001:db8::7", "2001:db8:1::7"), false},
		"Nothing":            {"no address, nothing passes", nil, frame(7, "192.0.2.7"), false},
		"Short":              {"a frame that ends early", addresses("192.0.2.7"), frame(7, "192.0.2.7")[:5], false},
		"IPv6":               {"the address", addresses("2001:db8::7"), frame(7, "2001:db8::7"), true},
		"IPv6OtherLast":      {"differs in the last word", addresses("2001:db8::7"), frame(7, "2001:db8::8"), false},
		"IPv6OtherFirst":     {"differs in the first word", addresses("2001:db8::7"), frame(7, "2001:db9::7"), false},
		"IPv6OtherSecond":    {"differs in the second word", addresses("2001:db8::7"), frame(7, "2001:db8:0:1::7"), false},
		"IPv6OtherThird":     {"differs in the third word", addresses("2001:db8::7"), frame(7, "2001:db8::1:0:0:7"), false},
		"IPv6FirstNetwork":   {"each of some networks", spread(maxNetworks), frame(7, spread(1)[0].String()), true},
		"IPv6LastNetwork":    {"each of some networks", spread(maxNetworks), frame(7, spread(maxNetworks)[maxNetworks-1].String()), true},
		"IPv6OtherNetwork":   {"none of some networks", spread(maxNetworks), frame(7, "2001:db9::7"), false},
		"IPv6CrossProduct":   {"networks and last words are compared apart", spread(maxNetworks), frame(7, "2001:db8:1::2"), true},
		"IPv6ManyNetworks":   {"past the limit none is lost", spread(200), frame(7, spread(200)[123].String()), true},
		"IPv4FirstOfMany":    {"each of many", ten, frame(7, ten[0].String()), true},
		"IPv4LastOfMany":     {"each of many", ten, frame(7, ten[len(ten)-1].String()), true},
		"IPv4BetweenMany":    {"up to the limit the filter is exact", ten, frame(7, "10.0.0.1"), false},
		"IPv4AfterMany":      {"in the last block, too", ten, frame(7, ten[len(ten)-1].Next().String()), false},
		"IPv4LastOfSparse":   {"each of some far apart", sparse, frame(7, sparse[maxBlocks-1].String()), true},
		"IPv4BetweenSparse":  {"each in a block of its own", sparse, frame(7, sparse[7].Next().String()), false},
		"IPv4High":           {"the last of all words", addresses("255.255.255.254"), frame(7, "255.255.255.254"), true},
		"IPv4Higher":         {"and no other", addresses("255.255.255.254"), frame(7, "255.255.255.255"), false},
		"IPv6LastOfMany":     {"each of many", db8, frame(7, db8[len(db8)-1].String()), true},
		"IPv6BetweenMany":    {"up to the limit the filter is exact", db8, frame(7, "2001:db8::1"), false},
		"IPv6PastTheLimit":   {"past the limit none is lost", every(50, "2001:db8::", 5000), frame(7, every(50, "2001:db8::", 5000)[4321].String()), true},
		"IPv6PastTheLimit2":  {"past the limit addresses far away still do not pass", every(50, "2001:db8::", 5000), frame(7, "2001:db8::7:7"), false},
		"IPv6PastBothLimits": {"past both limits none is lost", append(every(50, "2001:db8::", 5000), spread(200)...), frame(7, spread(200)[199].String()), true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			raw, err := Program(seven, kinds, tc.addrs)
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) > 4096 {
				t.Errorf("%d instructions are more than the kernel takes", len(raw))
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

// TestEach has every address of many pass, in frames of each kind.
func TestEach(t *testing.T) {
	for _, addrs := range [][]netip.Addr{many("10.0.0.0", 4000), every(77, "10.0.0.0", maxBlocks+1), every(50, "2001:db8::", 777), spread(maxNetworks)} {
		raw, err := Program(seven, kinds, addrs)
		if err != nil {
			t.Fatal(err)
		}
		program, _ := bpf.Disassemble(raw)
		vm, err := bpf.NewVM(program)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			for _, f := range [][]byte{frame(7, a.String()), lateFrame("192.0.2.1", a.String())} {
				if n, err := vm.Run(f); err != nil || n == 0 {
					t.Fatalf("%s of %d does not pass in a frame of kind %d: %v", a, len(addrs), f[1], err)
				}
			}
		}
	}
}

// BenchmarkProgram is what a change of a thousand addresses costs.
func BenchmarkProgram(b *testing.B) {
	addrs := many("2001:db8::", 1000)
	for b.Loop() {
		if _, err := Program(seven, kinds, addrs); err != nil {
			b.Fatal(err)
		}
	}
}
