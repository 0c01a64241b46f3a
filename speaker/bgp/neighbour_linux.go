package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
)

// soliciting is how long a router may take to answer a solicitation: half a second (RFC 4861, section 6.2.6), and some time to get here.
const soliciting = 2 * time.Second

var errNoRouter = errors.New("no router advertisement has come")

// neighbour finds the link-local address of the router behind an interface by its router advertisements (RFC 4861). It sends one
// too, of a router that is no default router: by that the router finds this node, and takes its connection ("unnumbered").
func neighbour(ctx context.Context, name string) (netip.Addr, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", name, err)
	}
	conn, own, err := ndp.Listen(link, ndp.LinkLocal)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", name, err)
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	if err := conn.JoinGroup(netip.IPv6LinkLocalAllNodes()); err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", name, err)
	}
	from := &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: link.HardwareAddr}
	for to, m := range map[netip.Addr]ndp.Message{
		netip.IPv6LinkLocalAllRouters(): &ndp.RouterSolicitation{Options: []ndp.Option{from}},
		netip.IPv6LinkLocalAllNodes():   &ndp.RouterAdvertisement{Options: []ndp.Option{from}},
	} {
		if err := conn.WriteTo(m, nil, to); err != nil {
			return netip.Addr{}, fmt.Errorf("interface %s: %w", name, err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(soliciting)); err != nil {
		return netip.Addr{}, err
	}
	for {
		m, _, router, err := conn.ReadFrom()
		if err != nil {
			if ctx.Err() != nil {
				return netip.Addr{}, ctx.Err()
			}
			if of := net.Error(nil); errors.As(err, &of) && of.Timeout() {
				return netip.Addr{}, fmt.Errorf("interface %s: %w", name, errNoRouter)
			}
			continue // what could not be read is not for us
		}
		if _, ok := m.(*ndp.RouterAdvertisement); ok && router.WithZone("") != own.WithZone("") && router.IsLinkLocalUnicast() {
			return router.WithZone(name), nil
		}
	}
}
