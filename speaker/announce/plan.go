package announce

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Plan says of every address of every Service who announces it.
type Plan struct {
	// Announcements by Service, then in the order of its addresses.
	Announcements []Announcement
}

// An Announcement is what becomes of one address of one Service.
type Announcement struct {
	Service Key
	Address netip.Addr
	// Node that announces the address; empty where none can.
	Node string
	// Links of the node on which it announces, sorted.
	Links []string
	// Reason is Announced where Node is set, and otherwise why it is not.
	Reason Reason
	// Message is a sentence for the user, empty where Reason is Announced.
	Message string
}

// L2 is one address that a node has to answer for, on some of its links.
type L2 struct {
	Address netip.Addr
	Links   []string
}

// L2 returns what a node has to answer for, of both families, by address.
func (p *Plan) L2(node string) []L2 {
	var out []L2
	for i := range p.Announcements {
		if a := &p.Announcements[i]; a.Node == node {
			out = append(out, L2{a.Address, a.Links})
		}
	}
	slices.SortFunc(out, func(a, b L2) int { return a.Address.Compare(b.Address) })
	return slices.CompactFunc(out, func(a, b L2) bool { return a.Address == b.Address })
}

// Of returns the announcements of a Service.
func (p *Plan) Of(k Key) []Announcement {
	i, _ := slices.BinarySearchFunc(p.Announcements, k, func(a Announcement, k Key) int { return a.Service.compare(k) })
	j := i
	for j < len(p.Announcements) && p.Announcements[j].Service == k {
		j++
	}
	return p.Announcements[i:j]
}

func (k Key) compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, other.Namespace), cmp.Compare(k.Name, other.Name))
}
