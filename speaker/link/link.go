// Package link watches the network interfaces of this node and hands out
// immutable snapshots of those on which a speaker can announce.
//
// It listens to the kernel over netlink and never polls: a link that appears,
// loses its carrier, joins a bridge or changes its MAC address is known at
// once. Which link is used for which address is decided in package announce.
package link

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
)

// IPVS is the interface on which kube-proxy, in mode ipvs, has the address of every Service. It is never up.
const IPVS = "kube-ipvs0"

// A Link is a network interface that can carry ARP and NDP: Ethernet, up, with a
// carrier, no part of a bond or bridge (whose frames its master sees), and not a
// pod's.
type Link struct {
	Index int
	Name  string
	MAC   net.HardwareAddr
	// MTU in bytes.
	MTU int
	// Subnets that the interface is attached to, sorted. Link-local ones and
	// those of a single address are left out: no other host is in them.
	Subnets []netip.Prefix
	// Default4 and Default6 tell whether the default route of the family leads
	// over the interface.
	Default4, Default6 bool
}

// attributes is what the kernel says of an interface.
type attributes struct {
	index, master, mtu    int
	name, encapsulation   string
	mac                   net.HardwareAddr
	up, running, loopback bool
	veth                  bool
}

// usable reports whether an interface can carry ARP and NDP.
func (a *attributes) usable() bool {
	return a.up && a.running && !a.loopback && a.master == 0 &&
		a.encapsulation == "ether" && len(a.mac) == 6
}

// build joins what the kernel says of interfaces, addresses and default routes.
func build(links []attributes, subnets map[int][]netip.Prefix, default4, default6 map[int]bool) []Link {
	out := []Link{}
	for i := range links {
		a := &links[i]
		if !a.usable() {
			continue
		}
		l := Link{
			Index: a.index, Name: a.name, MAC: a.mac, MTU: a.mtu,
			Subnets:  segments(subnets[a.index]),
			Default4: default4[a.index], Default6: default6[a.index],
		}
		if a.veth && len(l.Subnets) == 0 && !l.Default4 && !l.Default6 {
			continue // the node's end of a pod's interface: they come and go all day
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	return out
}

// segments keeps the subnets that other hosts can be in, masked and sorted.
func segments(in []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range in {
		if p.IsSingleIP() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		out = append(out, p.Masked())
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(out)
}

// Equal reports whether two snapshots say the same.
func Equal(a, b []Link) bool {
	return slices.EqualFunc(a, b, func(x, y Link) bool {
		return x.Index == y.Index && x.Name == y.Name && slices.Equal(x.MAC, y.MAC) && x.MTU == y.MTU &&
			slices.Equal(x.Subnets, y.Subnets) && x.Default4 == y.Default4 && x.Default6 == y.Default6
	})
}
