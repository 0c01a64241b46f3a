package arp

import (
	"fmt"
	"net"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/speaker/link"
)

// listen opens a raw socket for ARP on a link. Needs CAP_NET_RAW. The first
// filter is in force before the socket is bound, so that nothing else is ever queued.
func listen(l link.Link, first []bpf.RawInstruction) (conn, error) {
	ifi := &net.Interface{Index: l.Index, Name: l.Name, HardwareAddr: l.MAC}
	c, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, &packet.Config{Filter: first})
	if err != nil {
		return nil, fmt.Errorf("listen for ARP on %s: %w", l.Name, err)
	}
	return rawConn{c}, nil
}

type rawConn struct{ *packet.Conn }

func (c rawConn) Read(frame []byte) (int, error) {
	n, _, err := c.ReadFrom(frame)
	return n, err
}

func (c rawConn) Write(frame []byte) (int, error) {
	return c.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
}
