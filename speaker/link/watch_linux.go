package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settle is how long to wait for more changes after one: a link that comes up
// is a dozen messages in a row.
const settle = 5 * time.Millisecond

// retry is how long to wait before listening again after the kernel dropped
// messages for want of buffer space, or another failure.
const retry = 100 * time.Millisecond

// Watch hands every snapshot of the links of this network namespace to each, and whether there is an interface IPVS,
// the first at once and the others when something has changed, until ctx ends.
func Watch(ctx context.Context, log logr.Logger, each func(links []Link, ipvs bool)) error {
	var last []Link
	var had, known bool
	for ctx.Err() == nil {
		err := listen(ctx, func() error {
			now, ipvs, err := list()
			if err != nil {
				return err
			}
			if !known || !Equal(last, now) || had != ipvs {
				known, last, had = true, now, ipvs
				each(now, ipvs)
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			log.Error(err, "listening for link changes, trying again")
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
	return nil
}

// listen calls changed once, and then after each burst of messages, until it or the socket fails.
func listen(ctx context.Context, changed func() error) error {
	done := make(chan struct{})
	defer close(done)
	links := make(chan netlink.LinkUpdate, 64)
	addrs := make(chan netlink.AddrUpdate, 64)
	routes := make(chan netlink.RouteUpdate, 64)
	failed := make(chan error, 3)
	onError := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: onError}); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ErrorCallback: onError}); err != nil {
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	if err := netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{ErrorCallback: onError}); err != nil {
		return fmt.Errorf("subscribe to routes: %w", err)
	}
	if err := changed(); err != nil {
		return err
	}
	var pending <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return fmt.Errorf("receive: %w", err)
		case <-links:
		case <-addrs:
		case <-routes:
		case <-pending:
			pending = nil
			if err := changed(); err != nil {
				return err
			}
			continue
		}
		if pending == nil {
			pending = time.After(settle)
		}
	}
}

// list asks the kernel for everything that a snapshot needs.
func list() (usable []Link, ipvs bool, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, false, fmt.Errorf("list links: %w", err)
	}
	all := make([]attributes, 0, len(links))
	for _, l := range links {
		a := l.Attrs()
		ipvs = ipvs || a.Name == IPVS
		all = append(all, attributes{
			index: a.Index, master: a.MasterIndex, mtu: a.MTU, name: a.Name, encapsulation: a.EncapType, mac: a.HardwareAddr,
			up: a.RawFlags&unix.IFF_UP != 0, running: a.RawFlags&unix.IFF_RUNNING != 0, loopback: a.Flags&net.FlagLoopback != 0,
			veth: l.Type() == "veth",
		})
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, false, fmt.Errorf("list addresses: %w", err)
	}
	subnets := map[int][]netip.Prefix{}
	for _, a := range addrs {
		if p, ok := prefix(a.IPNet); ok {
			subnets[a.LinkIndex] = append(subnets[a.LinkIndex], p)
		}
	}
	default4, err := defaultRoutes(netlink.FAMILY_V4)
	if err != nil {
		return nil, false, err
	}
	default6, err := defaultRoutes(netlink.FAMILY_V6)
	if err != nil {
		return nil, false, err
	}
	return build(all, subnets, default4, default6), ipvs, nil
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), true
}

// defaultRoutes returns the interfaces that the default routes of a family lead over.
func defaultRoutes(family int) (map[int]bool, error) {
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	out := map[int]bool{}
	for i := range routes {
		r := &routes[i]
		if r.Dst != nil {
			if bits, _ := r.Dst.Mask.Size(); bits != 0 {
				continue
			}
		}
		out[r.LinkIndex] = true
		for _, hop := range r.MultiPath {
			out[hop.LinkIndex] = true
		}
	}
	delete(out, 0)
	return out, nil
}
