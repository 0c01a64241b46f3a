package responder

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/arp"
)

// tagged sends an ARP request or reply of a VLAN to the port of node a.
func (s *segment) tagged(vlan, op uint16, from net.HardwareAddr, sender, target netip.Addr) {
	<-s.inside(peer, func() {
		ifi, err := net.InterfaceByName("port-a")
		if err != nil {
			s.Error(err)
			return
		}
		c, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, nil)
		if err != nil {
			s.Error(err)
			return
		}
		defer c.Close()
		everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		f := append(append([]byte{}, everybody...), from...)
		for _, word := range []uint16{unix.ETH_P_8021Q, vlan, unix.ETH_P_ARP, 1, unix.ETH_P_IP, 6<<8 | 4, op} {
			f = binary.BigEndian.AppendUint16(f, word)
		}
		f = append(append(append(f, from...), sender.AsSlice()...), make([]byte, 6)...)
		f = append(append(f, target.AsSlice()...), make([]byte, 18)...)
		if _, err := c.WriteTo(f, &packet.Addr{HardwareAddr: everybody}); err != nil {
			s.Error(err)
		}
	})
}

// TestVLAN has a host of another VLAN ask for an address and claim it: on the untagged segment that says nothing. A priority tag, of VLAN
// 0, is no other VLAN.
func TestVLAN(t *testing.T) {
	s := newSegment(t)
	vip, host := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.50")
	other := net.HardwareAddr{2, 0, 0, 0, 0, 99}
	const request, reply = 1, 2
	a := s.start(nodeA, arp.Protocol{})
	a.announce(vip)
	s.eventually("a announces", func() bool { return a.Stats.Claims.Load() > 0 }, func() string { return fmt.Sprint(a.Observed().Errors) })
	s.tagged(10, request, other, host, vip)
	s.tagged(10, reply, other, vip, vip)
	// Frames of one port are heard in their order: once the last is answered, those before have been judged.
	s.tagged(0, request, other, host, vip)
	s.eventually("the request with a priority tag is answered", func() bool { return a.Stats.Requests.Load() > 0 }, silent)
	if n := a.Stats.Requests.Load(); n != 1 {
		t.Errorf("%d requests were answered, want that of VLAN 0 alone", n)
	}
	if g := a.seen.Load(); g != nil {
		t.Errorf("what was claimed in VLAN 10 counts on the untagged segment: %+v", *g)
	}
	s.release(a)
	a.as(announce.Fresh, nil, vip)
	s.eventually("a answers", func() bool { return len(a.Observed().Answering) == 1 }, func() string { return fmt.Sprint(a.Observed().Errors) })
	s.tagged(10, reply, other, vip, vip)
	s.tagged(0, request, other, host, vip)
	s.eventually("the request with a priority tag is answered", func() bool { return a.Stats.Requests.Load() > 1 }, silent)
	if len(a.Observed().Answering) == 0 {
		t.Error("a new address is not announced on the untagged segment because a host of VLAN 10 has it")
	}
	s.tagged(0, reply, other, vip, vip)
	s.eventually("a claim with a priority tag counts", func() bool { return a.seen.Load() != nil }, silent)
}

// silent has nothing to add to a failure.
func silent() string { return "" }
