package bfd

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// whole is a packet of FRR's, as it was on the wire.
var whole = []byte{0x20, 0xc0, 3, 24, 0, 0, 0, 7, 0, 0, 0, 9, 0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0, 0, 0, 0xc3, 0x50}

func with(at int, value byte) []byte {
	b := bytes.Clone(whole)
	b[at] = value
	return b
}

func TestParse(t *testing.T) {
	ok := Packet{
		State: Up, Multiplier: 3, My: 7, Your: 9,
		DesiredMinTx: 100 * time.Millisecond, RequiredMinRx: 100 * time.Millisecond, RequiredMinEchoRx: 50 * time.Millisecond,
	}
	poll, auth := ok, ok
	poll.Poll, poll.Demand, poll.ControlPlaneIndependent, poll.Diagnostic = true, true, true, NeighborDown
	auth.Authenticated = true
	tests := map[string]struct {
		reason string
		in     []byte
		want   Packet
		why    Discard
	}{
		"Plain":         {"fields are where section 4.1 has them", whole, ok, Accepted},
		"Flags":         {"flags and diagnostic are read", append([]byte{0x23, 0xc0 | 0x2a}, whole[2:]...), poll, Accepted},
		"Trailing":      {"what follows the packet is not ours (Length is less than the payload)", append(bytes.Clone(whole), 1, 2), ok, Accepted},
		"Auth":          {"the A bit is judged by the session", append(append([]byte{0x20, 0xc4, 3, 28}, whole[4:]...), 1, 4, 0, 0), auth, Accepted},
		"Empty":         {"nothing is no packet", nil, Packet{}, BadLength},
		"Short":         {"23 bytes are too few", whole[:23], Packet{}, BadLength},
		"Version":       {"version 0 is another protocol", with(0, 0), Packet{}, BadVersion},
		"LengthSmall":   {"Length must be 24 at least", with(3, 23), Packet{}, BadLength},
		"LengthLarge":   {"Length must not be more than there is", with(3, 25), Packet{}, BadLength},
		"LengthAuth":    {"with the A bit Length must be 26 at least", with(1, 0xc4), Packet{}, BadLength},
		"Multiplier":    {"Detect Mult must not be zero", with(2, 0), Packet{}, ZeroMultiplier},
		"Multipoint":    {"the M bit must be zero", with(1, 0xc1), Packet{}, Multipoint},
		"My":            {"My Discriminator must not be zero", with(7, 0), Packet{}, ZeroDiscriminator},
		"YourWhileUp":   {"Your Discriminator is zero only in Down and AdminDown", with(11, 0), Packet{}, NoDiscriminator},
		"YourWhileInit": {"who is in Init has heard of us", func() []byte { b := with(11, 0); b[1] = 0x80; return b }(), Packet{}, NoDiscriminator},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, why := Parse(tc.in)
			if diff := cmp.Diff(tc.want, got); diff != "" || why != tc.why {
				t.Errorf("%s: %s, want %s (-want +got):\n%s", tc.reason, why, tc.why, diff)
			}
		})
	}
}

// FuzzParse: whatever arrives is discarded, or a packet that is written as it was read.
func FuzzParse(f *testing.F) {
	f.Add(whole)                                // an ordinary packet
	f.Add(whole[:23])                           // cut off
	f.Add(with(3, 255))                         // longer than it is
	f.Add(with(1, 0xff))                        // all flags
	f.Add(append(with(1, 0xc4), 1, 9, 1, 0, 0)) // a password, the length of the packet without it
	f.Fuzz(func(t *testing.T, b []byte) {
		p, why := Parse(b)
		if why != Accepted {
			if p != (Packet{}) {
				t.Errorf("discarded (%s), but read: %+v", why, p)
			}
			return
		}
		out := p.Append(nil)
		if b[3] == size && !bytes.Equal(out, b[:size]) {
			t.Errorf("read % x, written % x", b[:size], out)
		}
		if again, why := Parse(out); !p.Authenticated && (why != Accepted || again != p) {
			t.Errorf("%+v comes back as %+v (%s)", p, again, why)
		}
	})
}
