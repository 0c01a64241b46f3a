package responder

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/speaker/link"
)

// listen opens a raw socket for a protocol on a link. Needs CAP_NET_RAW. The first
// filter is active before the socket is bound, so that nothing else is ever queued.
func listen(l link.Link, p Protocol, first []bpf.RawInstruction) (conn, error) {
	ifi := &net.Interface{Index: l.Index, Name: l.Name, HardwareAddr: l.MAC}
	c, err := packet.Listen(ifi, packet.Raw, int(p.EtherType()), &packet.Config{Filter: untagged(first)})
	if err != nil {
		return nil, fmt.Errorf("listen for %s on %s: %w", p.Name(), l.Name, err)
	}
	return &rawConn{c, l, newGroups(l.Index, c)}, nil
}

type rawConn struct {
	packet *packet.Conn
	link   link.Link
	groups *groups
}

func (c *rawConn) Read(frame []byte) (int, error) {
	n, _, err := c.packet.ReadFrom(frame)
	return n, err
}

func (c *rawConn) Write(frame []byte) (int, error) {
	return c.packet.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
}

func (c *rawConn) Admit(filter []bpf.RawInstruction, groups []netip.Addr) error {
	if err := c.packet.SetBPF(untagged(filter)); err != nil {
		return fmt.Errorf("set filter on %s: %w", c.link.Name, err)
	}
	if err := c.groups.set(groups); err != nil {
		return fmt.Errorf("join groups on %s: %w", c.link.Name, err)
	}
	return nil
}

func (c *rawConn) Close() error { return errors.Join(c.packet.Close(), c.groups.close()) }

// untagged has a filter pass frames for this host only. Those with the 802.1Q tag of a VLAN that has no interface here are
// delivered to packet sockets without the tag, as if they were for another host (net/core/dev.c, __netif_receive_skb_core); those
// of one that has are heard there. A priority tag, whose VLAN ID is 0, is no other VLAN (IEEE 802.1Q-2018 section 6.9).
func untagged(filter []bpf.RawInstruction) []bpf.RawInstruction {
	only, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		panic("responder: " + err.Error()) // it is the same each time
	}
	return append(only, filter...)
}
