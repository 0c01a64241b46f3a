package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// Gossip is what the speakers find out among themselves.
type Gossip struct {
	// Failed: they cannot talk to each other. Then what the API server says of a node counts.
	Failed bool
	// Peers are the other nodes.
	Peers map[string]Peer
	// Heals counts the nodes that were gone and came back.
	Heals uint64
}

// A Peer is what is known of another node.
type Peer struct {
	Presence announce.Presence
	// Missed is since when nothing is heard of it, and its kernel does not answer; zero where that is not so.
	Missed time.Time
	// Impaired: its speaker says that it cannot do all that it should.
	Impaired bool
	// Links are the names of its usable interfaces, as its speaker says; nil if it says nothing.
	Links []string
}

func (p Peer) equal(o Peer) bool {
	return p.Presence == o.Presence && p.Impaired == o.Impaired && slices.Equal(p.Links, o.Links) && (p.Links == nil) == (o.Links == nil)
}

func (g *Gossip) equal(o *Gossip) bool {
	return g.Failed == o.Failed && maps.EqualFunc(g.Peers, o.Peers, Peer.equal)
}

// peer returns what is known of a node. One that nothing is known of yet counts as away: who has just
// started takes nothing from anybody.
func (g *Gossip) peer(self, node string) Peer {
	if node == self {
		return Peer{Presence: announce.Alive}
	}
	if p, ok := g.Peers[node]; ok {
		return p
	}
	return Peer{Presence: announce.Away}
}

// gossiping reports whether the speakers talk to each other, or are about to.
func (w *world) gossiping() bool { return w.key != nil && !w.gossip.Failed }

// gone returns how many of the other nodes are gone.
func (g *Gossip) gone() int {
	n := 0
	for _, p := range g.Peers {
		if p.Presence == announce.Gone {
			n++
		}
	}
	return n
}

// SetGossip says what the speakers have found out among themselves. It does not block.
func (a *Agent) SetGossip(g Gossip) {
	a.post(func(w *world) { w.hear(g, time.Now()) })
}

// hear puts what the speakers have found out in place of what they had before.
func (w *world) hear(g Gossip, now time.Time) {
	before := w.gossip
	w.gossip = g
	w.changed(!g.equal(&before))
	if g.Heals != before.Heals { // how many were gone until now decides, whoever is back
		w.recovery.reunite(before.gone(), len(before.Peers)+1, now)
	}
}

// addresses returns this node's address, and those of the other nodes that have had a speaker.
func (w *world) addresses() (self netip.Addr, peers map[string]netip.Addr) {
	peers = map[string]netip.Addr{}
	for n := range w.others {
		if at := w.addressOf(n); n != w.self && at.IsValid() {
			peers[n] = at
		}
	}
	return w.addressOf(w.self), peers
}

// addressOf returns the first address of a node; the zero one if there is none.
func (w *world) addressOf(node string) netip.Addr {
	n := w.nodes[node]
	return n.Address()
}
