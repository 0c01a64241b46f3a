package announce

import (
	"net/netip"
	"slices"
)

// An Announcement is what becomes of one address of one Service: by layer 2 and, in BGP, by that.
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
	// BGP is what becomes of it by BGP.
	BGP Reach
}

// Same reports whether both say the same.
func (a Announcement) Same(b Announcement) bool {
	return a.Service == b.Service && a.Address == b.Address && a.Node == b.Node && slices.Equal(a.Links, b.Links) && a.Next == b.Next &&
		a.Standin == b.Standin && slices.Equal(a.StandinLinks, b.StandinLinks) && a.Fresh == b.Fresh && a.Reason == b.Reason &&
		a.Message == b.Message && slices.Equal(a.BGP.Peers, b.BGP.Peers) && a.BGP.Reason == b.BGP.Reason && a.BGP.Message == b.BGP.Message
}
