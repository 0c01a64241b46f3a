//go:build linux

package measure

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// Sniff counts for some time what passes an interface of a host. Of ARP and NDP it counts what is about the networks.
func Sniff(h *lab.Host, name string, long time.Duration, networks ...netip.Prefix) (t Traffic, err error) {
	var conn *packet.Conn
	err = h.Do(func() error {
		iface, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(iface, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	})
	if err != nil {
		return t, fmt.Errorf("listen on %s of %s: %w", name, h.Name, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetReadDeadline(time.Now().Add(long)); err != nil {
		return t, err
	}
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return t, nil
		}
		if err != nil {
			return t, err
		}
		t.add(buffer[:n], networks)
	}
}
