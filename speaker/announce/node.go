package announce

import (
	"net"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// A Node is one node of the cluster.
type Node struct {
	Name   string
	Labels map[string]string
	// Ready: the node's Ready condition is true.
	Ready bool
	// NetworkUnavailable: the node's network is not set up (the condition of that name).
	NetworkUnavailable bool
	// Excluded: the node carries the label node.kubernetes.io/exclude-from-external-load-balancers,
	// and the label is honoured.
	Excluded bool
	// Retiring: the node is to lose what it announces: it has the taint node.kubernetes.io/out-of-service
	// or, where that is asked for, is cordoned.
	Retiring bool
	// SpeakerReady: the API server says that the node's speaker runs, and is not being stopped. It
	// matters while Presence is Unknown.
	SpeakerReady bool
	// Presence is what the speakers find out among themselves.
	Presence Presence
	// Impaired: the node's speaker says that it cannot do all that it should.
	Impaired bool
	// Links are the interfaces on which the node could announce.
	Links []Link
}

// Presence is what a speaker finds out about another node.
type Presence int

const (
	// Unknown is nothing, as the speakers do not talk to each other (yet).
	Unknown Presence = iota
	// Alive means that its speaker answers.
	Alive
	// Away means that its speaker does not, but its kernel does: the speaker is restarted, or hangs.
	Away
	// Gone means that neither does, or its speaker was away for too long.
	Gone
)

// String names a Presence.
func (p Presence) String() string {
	switch p {
	case Alive:
		return "alive"
	case Away:
		return "away"
	case Gone:
		return "gone"
	default:
		return "unknown"
	}
}

// A Link is a network interface that is up and speaks Ethernet.
type Link struct {
	Name string
	// MAC is the address of the interface; nil if it is not known.
	MAC net.HardwareAddr
	// MTU in bytes; 0 if it is not known.
	MTU int
	// Subnets that the interface is attached to.
	Subnets []netip.Prefix
	// DefaultRoutes are the families of which the default route leads over the interface.
	DefaultRoutes []config.Family
}

// LinksOf reads the links that a speaker reports of its node.
func LinksOf(s *v1beta1.SpeakerStatus) []Link {
	var out []Link
	for _, i := range s.Status.Interfaces {
		l := Link{Name: i.Name, MTU: int(i.MTU), DefaultRoutes: slices.Clone(i.DefaultRoutes)}
		if mac, err := net.ParseMAC(i.MAC); err == nil {
			l.MAC = mac
		}
		for _, subnet := range i.Subnets {
			if p, err := netip.ParsePrefix(subnet); err == nil {
				l.Subnets = append(l.Subnets, p)
			}
		}
		out = append(out, l)
	}
	return out
}

// reaches reports whether the link's segment has the address.
func (l *Link) reaches(a netip.Addr) bool {
	return slices.ContainsFunc(l.Subnets, func(p netip.Prefix) bool { return p.Contains(a) })
}
