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
	// Next is the node that would announce it if Node were gone; empty where there is none.
	Next string
	// Standin is the node that answers for Node, on its own StandinLinks and with Node's
	// MAC addresses, while Node's speaker is Away; else empty.
	Standin      string
	StandinLinks []string
	// Fresh: nobody has announced the address yet.
	Fresh bool
	// Reason is Announced where Node is set, and otherwise why it is not.
	Reason Reason
	// Message is a sentence for the user, empty where Reason is Announced.
	Message string
}

// Of returns the announcements of a Service.
func (p *Plan) Of(k Key) []Announcement {
	i, _ := slices.BinarySearchFunc(p.Announcements, k, func(a Announcement, k Key) int { return a.Service.Compare(k) })
	j := i
	for j < len(p.Announcements) && p.Announcements[j].Service == k {
		j++
	}
	return p.Announcements[i:j]
}

// Compare orders Keys by namespace, then name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, other.Namespace), cmp.Compare(k.Name, other.Name))
}
