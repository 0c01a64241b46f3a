package config

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A Peer is a router that some nodes have BGP sessions with.
type Peer struct {
	Name string
	// MyASN is the AS number of the cluster, LocalASN the one that is sent to this peer in its place; 0 for none.
	MyASN, LocalASN uint32
	// PeerASN is the peer's AS number; 0 where Dynamic says what it may be.
	PeerASN uint32
	Dynamic v1beta1.DynamicASN

	// Address of the peer; not valid where the peer is found behind Interface.
	Address   netip.Addr
	Interface string
	Port      uint16
	// Source is the node's address; not valid where the node is to choose.
	Source netip.Addr

	// HoldTime of 0 is for ever; Keepalive of 0, never.
	HoldTime, Keepalive time.Duration
	// ConnectTime is the longest time between attempts to connect.
	ConnectTime time.Duration
	// RouterID is an IPv4 address; not valid where the node is to choose.
	RouterID netip.Addr

	// PasswordSecret is the name of the Secret with the password; empty for none.
	PasswordSecret string
	// BFD is nil for none.
	BFD *BFDProfile
	// RestartTime is for how long the peer is to keep routes without a session; 0 for not at all.
	RestartTime time.Duration
	// MultiHop: there may be routers between the node and this external peer.
	MultiHop bool
	// TTLSecurity is how many hops away the peer is at most (RFC 5082); 0 to not check that.
	TTLSecurity int
	// IPv4Unicast and IPv6Unicast say which routes the session carries.
	IPv4Unicast, IPv6Unicast bool

	profile string
	nodes   selectors
}

// Carries reports whether the sessions with the peer carry routes of a family.
func (p *Peer) Carries(f Family) bool {
	if f == IPv4 {
		return p.IPv4Unicast
	}
	return p.IPv6Unicast
}

// SelectsNode reports whether a node is to have a session with the peer, by its labels.
func (p *Peer) SelectsNode(labels map[string]string) bool { return p.nodes.admit(labels) }

// Internal reports whether the peer is of the own AS (iBGP).
func (p *Peer) Internal() bool { return p.Dynamic == v1beta1.InternalASN || p.PeerASN == p.MyASN }

// Where says in words where the peer is: its address or interface.
func (p *Peer) Where() string {
	if p.Interface != "" {
		return "interface " + p.Interface
	}
	return "address " + p.Address.String()
}

// What BGPPeers have that say nothing.
const (
	defaultPort        = 179
	defaultHoldTime    = 90 * time.Second // RFC 4271, section 10
	defaultConnectTime = 10 * time.Second
	defaultRestartTime = 120 * time.Second
	keepalives         = 3 // in a hold time: RFC 4271, section 4.4
)

// Bounds of what BGP can say.
const (
	maxTime        = math.MaxUint16 * time.Second
	minHoldTime    = 3 * time.Second    // RFC 4271, section 4.2
	maxRestartTime = 4095 * time.Second // twelve bits: RFC 4724, section 3
	maxHops        = 254
)

// peerReader collects what is wrong with a BGPPeer.
type peerReader struct{ faults []fault }

func (r *peerReader) faultf(format string, args ...any) {
	r.faults = append(r.faults, fault{InvalidPeer, fmt.Sprintf(format, args...)})
}

func parsePeer(name string, in *v1beta1.BGPPeerSpec) (*Peer, []fault) {
	r := &peerReader{}
	p := &Peer{
		Name:  name,
		MyASN: r.asn("myASN", in.MyASN), LocalASN: r.asn("localASN", in.LocalASN), PeerASN: r.asn("peerASN", in.PeerASN), Dynamic: in.DynamicASN,
		Address: r.addr("peerAddress", in.PeerAddress), Interface: in.Interface, Source: r.addr("sourceAddress", in.SourceAddress),
		Port:     uint16(r.number("peerPort", cmp.Or(in.PeerPort, defaultPort), 1, math.MaxUint16)),
		RouterID: r.addr("routerID", in.RouterID),
		MultiHop: in.EBGPMultiHop, TTLSecurity: r.number("ttlSecurity", in.TTLSecurity, 0, maxHops),
		profile: in.BFDProfile,
	}
	if in.PasswordSecret != nil {
		p.PasswordSecret = in.PasswordSecret.Name
	}
	r.timers(p, in)
	r.families(p, in.AddressFamilies)
	var err error
	if p.nodes, err = parseSelectors("nodeSelectors", in.NodeSelectors); err != nil {
		r.faults = append(r.faults, fault{InvalidSelector, err.Error()})
	}
	if len(r.faults) == 0 { // else what could not be read would be missed too
		r.who(p)
		r.where(p)
	}
	return p, r.faults
}

func (r *peerReader) asn(field string, n int64) uint32 {
	if n < 0 || n > math.MaxUint32 {
		r.faultf("%s: %d is not an AS number", field, n)
		return 0
	}
	return uint32(n)
}

func (r *peerReader) number(field string, n, least, most int32) int {
	if n < least || n > most {
		r.faultf("%s: %d is not between %d and %d", field, n, least, most)
	}
	return int(n)
}

func (r *peerReader) addr(field, s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	a, err := parseAddr(s)
	if err != nil {
		r.faultf("%s: %q is not an IP address", field, s)
		return netip.Addr{}
	}
	return a
}

// seconds reads a time of whole seconds.
func (r *peerReader) seconds(field string, in *metav1.Duration, absent, least, most time.Duration) time.Duration {
	if in == nil {
		return absent
	}
	d := in.Duration
	if d < least || d > most || d%time.Second != 0 {
		r.faultf("%s: %s is not whole seconds between %s and %s", field, d, least, most)
	}
	return d
}

// timers reads all times. Of hold time and keepalive, one follows from the other.
func (r *peerReader) timers(p *Peer, in *v1beta1.BGPPeerSpec) {
	p.ConnectTime = r.seconds("connectTime", in.ConnectTime, defaultConnectTime, time.Second, maxTime)
	if g := in.GracefulRestart; g != nil {
		p.RestartTime = r.seconds("gracefulRestart.restartTime", g.RestartTime, defaultRestartTime, time.Second, maxRestartTime)
	}
	hold := defaultHoldTime
	if in.KeepaliveTime != nil {
		hold = min(keepalives*max(in.KeepaliveTime.Duration, 0), maxTime) // of 0: never sent, never missed
	}
	p.HoldTime = r.seconds("holdTime", in.HoldTime, hold, 0, maxTime)
	if p.HoldTime > 0 && p.HoldTime < minHoldTime {
		r.faultf("holdTime: %s is not 0s, nor at least %s", p.HoldTime, minHoldTime)
	}
	p.Keepalive = r.seconds("keepaliveTime", in.KeepaliveTime, (p.HoldTime / keepalives).Truncate(time.Second), 0, maxTime)
	if p.Keepalive > p.HoldTime {
		r.faultf("keepaliveTime: %s is longer than holdTime, %s", p.Keepalive, p.HoldTime)
	}
}

func (r *peerReader) families(p *Peer, in []v1beta1.AddressFamily) {
	if len(in) == 0 {
		p.IPv4Unicast = p.Interface != "" || p.Address.Is4()
		p.IPv6Unicast = p.Interface != "" || p.Address.Is6()
		return
	}
	for _, f := range in {
		switch f {
		case v1beta1.IPv4Unicast:
			p.IPv4Unicast = true
		case v1beta1.IPv6Unicast:
			p.IPv6Unicast = true
		default:
			r.faultf("addressFamilies: %q is neither %s nor %s", f, v1beta1.IPv4Unicast, v1beta1.IPv6Unicast)
		}
	}
}

// who checks what is said of AS numbers.
func (r *peerReader) who(p *Peer) {
	switch p.Dynamic {
	case "", v1beta1.InternalASN, v1beta1.ExternalASN:
	default:
		r.faultf("dynamicASN: %q is neither %s nor %s", p.Dynamic, v1beta1.InternalASN, v1beta1.ExternalASN)
	}
	if p.MyASN == 0 {
		r.faultf("myASN: 0 is not an AS number")
	}
	if (p.PeerASN == 0) == (p.Dynamic == "") {
		r.faultf("exactly one of peerASN and dynamicASN must be set")
	}
	if p.LocalASN != 0 && (p.Internal() || p.LocalASN == p.MyASN || p.LocalASN == p.PeerASN) {
		r.faultf("localASN: it is for external peers, and must differ from myASN and peerASN")
	}
	if p.MultiHop && p.Internal() {
		r.faultf("ebgpMultiHop: it is for external peers")
	}
	if p.MultiHop && p.TTLSecurity > 0 {
		r.faultf("ttlSecurity and ebgpMultiHop exclude each other")
	}
	if p.RouterID.IsValid() && (!p.RouterID.Is4() || p.RouterID.IsUnspecified()) {
		r.faultf("routerID: %s does not have the form of an IPv4 address, or is 0.0.0.0", p.RouterID)
	}
}

// where checks what is said of addresses.
func (r *peerReader) where(p *Peer) {
	a := p.Address
	switch {
	case a.IsValid() == (p.Interface != ""):
		r.faultf("exactly one of peerAddress and interface must be set")
	case p.Interface != "":
		if strings.ContainsAny(p.Interface, "/%*?[]\\ ") {
			r.faultf("interface: %q is not the name of a network interface", p.Interface)
		}
		if p.Source.IsValid() || p.MultiHop {
			r.faultf("interface: sourceAddress and ebgpMultiHop need peerAddress")
		}
	case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		r.faultf("peerAddress: %s is not the address of one router", a)
	case a.Is6() && a.IsLinkLocalUnicast():
		r.faultf("peerAddress: %s is link-local: name the interface instead", a)
	case p.Source.IsValid() && FamilyOf(p.Source) != FamilyOf(a):
		r.faultf("sourceAddress: %s is not of the family of peerAddress", p.Source)
	}
}

// meet reads the BGPPeers, the oldest first.
func (s *Snapshot) meet(all []*v1beta1.BGPPeer) []Problem {
	var problems []Problem
	for _, in := range all {
		ref := Ref{BGPPeerKind, in.Name}
		p, faults := active(ref, &in.Spec, in.Status.AcceptedSpec, func(spec *v1beta1.BGPPeerSpec) (*Peer, []fault) {
			p, faults := parsePeer(in.Name, spec)
			if len(faults) == 0 {
				faults = s.collide(p)
			}
			return p, faults
		})
		if problems = append(problems, faults...); p == nil {
			continue
		}
		s.peers = append(s.peers, p)
		if p.profile == "" {
			continue
		}
		if p.BFD = s.BFDProfile(p.profile); p.BFD == nil && len(faults) == 0 {
			problems = append(problems, Problem{ref, ProfileNotFound,
				fmt.Sprintf("no BFDProfile that is active is called %s; the sessions are active without BFD", p.profile)})
		}
	}
	slices.SortFunc(s.peers, func(a, b *Peer) int { return cmp.Compare(a.Name, b.Name) })
	return problems
}

// collide returns what makes a peer impossible beside those that are older.
func (s *Snapshot) collide(p *Peer) []fault {
	for _, o := range s.peers {
		if disjoint(p.nodes, o.nodes) {
			continue
		}
		if p.Address == o.Address && p.Interface == o.Interface {
			return []fault{{PeerConflict, fmt.Sprintf(
				"BGPPeer %s, which is older, has the same %s, and may be for the same nodes", o.Name, p.Where())}}
		}
		if p.RouterID.IsValid() && o.RouterID.IsValid() && p.RouterID != o.RouterID {
			return []fault{{PeerConflict, fmt.Sprintf(
				"BGPPeer %s, which is older, has another routerID, %s, and may be for the same nodes", o.Name, o.RouterID)}}
		}
	}
	return nil
}

// Peers returns all active peers, by name. Not to be changed.
func (s *Snapshot) Peers() []*Peer { return s.peers }

// Peer returns the peer of a name, or nil.
func (s *Snapshot) Peer(name string) *Peer {
	i, ok := slices.BinarySearchFunc(s.peers, name, func(p *Peer, n string) int { return cmp.Compare(p.Name, n) })
	if !ok {
		return nil
	}
	return s.peers[i]
}
