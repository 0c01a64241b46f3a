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
	ourMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	theirMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// family is a protocol, and what to expect of it. The stories are the same for all.
type family struct {
	protocol         Protocol
	vip, them, other netip.Addr
	// groups that the questions for vip are sent to.
	groups []netip.Addr
	// ask returns a question from a neighbour with theirMAC.
	ask func(sender, target netip.Addr) []byte
	// foreign is a claim of vip by somebody else.
	foreign []byte
	// claims and answers, in words, where vip is at mac.
	claims, answers func(mac net.HardwareAddr) []string
}

var families = []family{
	{
		protocol: arp.Protocol{},
		vip:      netip.MustParseAddr("192.0.2.7"), them: netip.MustParseAddr("192.0.2.99"), other: netip.MustParseAddr("192.0.2.8"),
		ask:     askARP,
		foreign: askARP(netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.7")),
		claims: func(mac net.HardwareAddr) []string {
			return []string{"gratuitous request: 192.0.2.7 is at " + mac.String(), "gratuitous reply: 192.0.2.7 is at " + mac.String()}
		},
		answers: func(mac net.HardwareAddr) []string {
			return []string{"reply to 02:00:00:00:00:02: 192.0.2.7 is at " + mac.String()}
		},
	},
	{
		protocol: ours.Protocol{},
		vip:      netip.MustParseAddr("2001:db8::7"), them: netip.MustParseAddr("2001:db8::99"), other: netip.MustParseAddr("2001:db8::8"),
		groups:  []netip.Addr{netip.MustParseAddr("ff02::1:ff00:7")},
		ask:     askNDP,
		foreign: claimNDP(netip.MustParseAddr("2001:db8::7")),
		claims: func(mac net.HardwareAddr) []string {
			return []string{"unsolicited: 2001:db8::7 is at " + mac.String()}
		},
		answers: func(mac net.HardwareAddr) []string {
			return []string{"reply to 02:00:00:00:00:02: 2001:db8::7 is at " + mac.String()}
		},
	},
}

func askARP(sender, target netip.Addr) []byte {
	frame := []byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2}
	frame = append(frame, sender.AsSlice()...)
	frame = append(frame, 0, 0, 0, 0, 0, 0)
	return append(frame, target.AsSlice()...)
}

func askNDP(sender, target netip.Addr) []byte {
	group, err := ndp.SolicitedNodeMulticast(target)
	if err != nil {
		panic(err)
	}
	return fromThem(sender, group, &ndp.NeighborSolicitation{
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: theirMAC}},
	})
}

func claimNDP(a netip.Addr) []byte {
	return fromThem(a, netip.IPv6LinkLocalAllNodes(), &ndp.NeighborAdvertisement{
		Override: true, TargetAddress: a,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: theirMAC}},
	})
}

func fromThem(source, destination netip.Addr, m ndp.Message) []byte {
	message, err := ndp.MarshalMessageChecksum(m, source, destination)
	if err != nil {
		panic(err)
	}
	d := destination.As16()
	frame := append([]byte{0x33, 0x33}, d[12:]...)
	frame = append(frame, theirMAC...)
	frame = append(frame, 0x86, 0xdd, 0x60, 0, 0, 0)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(message)))
	frame = append(frame, 58, 255)
	frame = append(frame, source.AsSlice()...)
	frame = append(frame, destination.AsSlice()...)
	return append(frame, message...)
}

// describe says in words what a frame tells, and to whom.
func describe(f []byte) string {
	if f[12] == 0x86 { // an advertisement
		at := netip.AddrFrom16([16]byte(f[62:78])).String() + " is at " + net.HardwareAddr(f[80:86]).String()
		if f[0] == 0x33 {
			return "unsolicited: " + at
		}
		return "reply to " + net.HardwareAddr(f[:6]).String() + ": " + at
	}
	sender := netip.AddrFrom4([4]byte(f[28:32])).String() + " is at " + net.HardwareAddr(f[22:28]).String()
	switch {
	case f[0] == 255 && f[21] == 1:
		return "gratuitous request: " + sender
	case f[0] == 255:
		return "gratuitous reply: " + sender
	default:
		return "reply to " + net.HardwareAddr(f[:6]).String() + ": " + sender
	}
}
