package node

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/metrics"
	"github.com/fairlead-lb/fairlead/speaker/agent"
	"github.com/fairlead-lb/fairlead/speaker/bfd"
	"github.com/fairlead-lb/fairlead/speaker/bgp"
	"github.com/fairlead-lb/fairlead/speaker/link"
	"github.com/fairlead-lb/fairlead/speaker/status"
)

// route hands a decision to what speaks with routers. Routes come first: what is not announced when a session begins again, the
// router drops.
func (s *speaker) route(d *agent.Decided) {
	s.bgp.Update(d.Routes)
	to := bgp.Desired{RouterID: routerID(d.Self, s.Node), Peers: make([]bgp.Peer, len(d.BGP))}
	for i, p := range d.BGP {
		to.Peers[i] = bgp.Peer(p)
	}
	s.bgp.Set(to)
}

// routerID is the BGP identifier of a node of which none is configured: its IPv4 address or, where it has none, a number that
// follows from its name (RFC 6286 asks for no more than that it is unique in the AS).
func routerID(self netip.Addr, node string) netip.Addr {
	if self.Is4() {
		return self
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(node)) // it never fails
	var id [4]byte
	binary.BigEndian.PutUint32(id[:], max(1, h.Sum32()))
	return netip.AddrFrom4(id)
}

// detect has BFD look after the routers that are to be, at the addresses that are known.
func (s *speaker) detect() {
	d := s.last.Load()
	if d == nil {
		return
	}
	var all []bfd.Session
	for _, o := range s.bgp.Observed() {
		i := slices.IndexFunc(d.BGP, func(p agent.BGPPeer) bool { return p.Name == o.Peer })
		if i < 0 || d.BGP[i].BFD == nil || !o.Address.IsValid() {
			continue
		}
		p := d.BGP[i]
		all = append(all, bfd.Session{
			Name: p.Name, Peer: o.Address, Local: p.Source, Interface: p.Interface,
			Multihop: p.MultiHop || p.Internal() && !attached(d.Links, o.Address),
			Profile: bfd.Profile{
				Receive: p.BFD.Receive, Transmit: p.BFD.Transmit, Multiplier: uint8(p.BFD.Multiplier), Passive: p.BFD.Passive,
				MinimumTTL: uint8(p.BFD.MinimumTTL),
			},
		})
	}
	s.bfd.Set(all)
	s.tell()
}

// attached reports whether an address is in a network of the node: an internal router need not be.
func attached(links []link.Link, a netip.Addr) bool {
	return a.IsLinkLocalUnicast() || slices.ContainsFunc(links, func(l link.Link) bool {
		return slices.ContainsFunc(l.Subnets, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// detected ends the session with a router that could be reached and cannot any more, at once. One that BFD has not reached yet is BGP's
// own business: some routers begin BFD only once BGP is established (RFC 5882, section 4.2).
func (s *speaker) detected(peer string, o bfd.Status) {
	was := s.reached[peer]
	s.reached[peer] = o.State == bfd.Up
	if was && o.State != bfd.Up && o.Cause.Failed() {
		s.bgp.Fail(peer, o.Cause.String())
	}
	s.tell()
}

// detections returns what BFD says of each peer.
func (s *speaker) detections() map[string]bfd.Status {
	out := map[string]bfd.Status{}
	for _, o := range s.bfd.Observed() {
		out[o.Name] = o
	}
	return out
}

// tell has the BGPStatus say what is known of sessions now.
func (s *speaker) tell() {
	s.telling.Lock()
	defer s.telling.Unlock()
	detected := s.detections()
	var all []status.Session
	for _, o := range s.bgp.Observed() {
		x := status.Session{Peer: o.Peer, Address: o.Address, State: o.State.String(), Since: o.Since, Error: o.Error}
		if b, ok := detected[o.Peer]; ok {
			x.BFD = b.State.String()
		}
		all = append(all, x)
	}
	s.sessions.Set(all)
}

// measured are the numbers of all sessions.
func (s *speaker) measured() []metrics.BGPSession {
	detected := s.detections()
	var out []metrics.BGPSession
	for _, o := range s.bgp.Observed() {
		x := metrics.BGPSession{
			Peer: o.Peer, Up: o.State == bgp.Established, Routes: o.Routes,
			Sent: o.Sent, Received: o.Received, Discarded: o.Discarded, Established: o.Counters.Established,
		}
		if b, ok := detected[o.Peer]; ok {
			x.BFD = &metrics.BFDSession{Up: b.State == bfd.Up, Sent: b.Counters.Sent, Received: b.Counters.Received, Downs: b.Counters.Downs}
		}
		out = append(out, x)
	}
	return out
}
