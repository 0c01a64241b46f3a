package responder

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"

	"github.com/fairlead-lb/fairlead/speaker/arp"
	ours "github.com/fairlead-lb/fairlead/speaker/ndp"
)

var (
	ourMAC       = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	theirMAC     = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	otherHostMAC = net.HardwareAddr{2, 0, 0, 0, 0, 3}
)

// family is a protocol, and what to expect of it. The stories are the same for all.
type family struct {
	protocol         Protocol
	vip, them, other netip.Addr
	// groups that the questions for vip are sent to.
	groups []netip.Addr
	// ask returns a question from a neighbour with theirMAC; a probe, from none.
	ask func(sender, target netip.Addr) []byte
	// claim returns the frames, one by one, by which somebody at mac can claim an address.
	claim []func(a netip.Addr, mac net.HardwareAddr) []byte
	// claims, probes and answers, in words, where vip is at mac.
	claims, answers func(mac net.HardwareAddr) []string
	probes          []string
}

func (f family) none() netip.Addr {
	if f.vip.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

var families = []family{
	{
		protocol: arp.Protocol{},
		vip:      netip.MustParseAddr("192.0.2.7"), them: netip.MustParseAddr("192.0.2.99"), other: netip.MustParseAddr("192.0.2.8"),
		ask: func(sender, target netip.Addr) []byte {
			return packARP(1, theirMAC, sender, target)
		},
		claim: []func(a netip.Addr, mac net.HardwareAddr) []byte{
			func(a netip.Addr, mac net.HardwareAddr) []byte { return packARP(1, mac, a, a) },
			func(a netip.Addr, mac net.HardwareAddr) []byte { return packARP(2, mac, a, a) },
			func(a netip.Addr, mac net.HardwareAddr) []byte { return packARP(2, mac, a, netip.IPv4Unspecified()) }, // answers a probe
		},
		claims: func(mac net.HardwareAddr) []string {
			return []string{"gratuitous request: 192.0.2.7 is at " + mac.String(), "gratuitous reply: 192.0.2.7 is at " + mac.String()}
		},
		answers: func(mac net.HardwareAddr) []string {
			return []string{"reply to 02:00:00:00:00:02: 192.0.2.7 is at " + mac.String()}
		},
		probes: []string{"probe for 192.0.2.7"},
	},
	{
		protocol: ours.Protocol{},
		vip:      netip.MustParseAddr("2001:db8::7"), them: netip.MustParseAddr("2001:db8::99"), other: netip.MustParseAddr("2001:db8::8"),
		groups: []netip.Addr{netip.MustParseAddr("ff02::1:ff00:7")},
		ask:    askNDP,
		claim: []func(a netip.Addr, mac net.HardwareAddr) []byte{
			func(a netip.Addr, mac net.HardwareAddr) []byte {
				return claimNDP(a, mac, &ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac})
			},
			func(a netip.Addr, mac net.HardwareAddr) []byte { return claimNDP(a, mac) },
		},
		claims: func(mac net.HardwareAddr) []string {
			return []string{"unsolicited: 2001:db8::7 is at " + mac.String()}
		},
		answers: func(mac net.HardwareAddr) []string {
			return []string{"reply to 02:00:00:00:00:02: 2001:db8::7 is at " + mac.String()}
		},
		probes: []string{"probe for 2001:db8::7"},
	},
}

func packARP(op byte, mac net.HardwareAddr, sender, target netip.Addr) []byte {
	frame := append([]byte{255, 255, 255, 255, 255, 255}, mac...)
	frame = append(frame, 8, 6, 0, 1, 8, 0, 6, 4, 0, op)
	frame = append(frame, mac...)
	frame = append(frame, sender.AsSlice()...)
	frame = append(frame, 0, 0, 0, 0, 0, 0)
	return append(frame, target.AsSlice()...)
}

func askNDP(sender, target netip.Addr) []byte {
	group, err := ndp.SolicitedNodeMulticast(target)
	if err != nil {
		panic(err)
	}
	m := &ndp.NeighborSolicitation{TargetAddress: target}
	if !sender.IsUnspecified() {
		m.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: theirMAC}}
	}
	return packNDP(theirMAC, sender, group, m)
}

func claimNDP(a netip.Addr, mac net.HardwareAddr, options ...ndp.Option) []byte {
	return packNDP(mac, a, netip.IPv6LinkLocalAllNodes(), &ndp.NeighborAdvertisement{Override: true, TargetAddress: a, Options: options})
}

func packNDP(mac net.HardwareAddr, source, destination netip.Addr, m ndp.Message) []byte {
	message, err := ndp.MarshalMessageChecksum(m, source, destination)
	if err != nil {
		panic(err)
	}
	d := destination.As16()
	frame := append([]byte{0x33, 0x33}, d[12:]...)
	frame = append(frame, mac...)
	frame = append(frame, 0x86, 0xdd, 0x60, 0, 0, 0)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(message)))
	frame = append(frame, 58, 255)
	frame = append(frame, source.AsSlice()...)
	frame = append(frame, destination.AsSlice()...)
	return append(frame, message...)
}

// describe says in words what a frame tells, to whom, and from where if that is not what is told.
func describe(f []byte) string {
	if f[12] == 0x86 {
		target := netip.AddrFrom16([16]byte(f[62:78])).String()
		if f[54] == 135 {
			return "probe for " + target
		}
		at := target + " is at " + place(f, f[80:86])
		if f[0] == 0x33 {
			return "unsolicited: " + at
		}
		return "reply to " + net.HardwareAddr(f[:6]).String() + ": " + at
	}
	sender := netip.AddrFrom4([4]byte(f[28:32]))
	at := sender.String() + " is at " + place(f, f[22:28])
	switch {
	case sender.IsUnspecified():
		return "probe for " + netip.AddrFrom4([4]byte(f[38:42])).String()
	case f[0] == 255 && f[21] == 1:
		return "gratuitous request: " + at
	case f[0] == 255:
		return "gratuitous reply: " + at
	default:
		return "reply to " + net.HardwareAddr(f[:6]).String() + ": " + at
	}
}

func place(frame []byte, told net.HardwareAddr) string {
	if from := net.HardwareAddr(frame[6:12]).String(); from != told.String() {
		return told.String() + ", says " + from
	}
	return told.String()
}
