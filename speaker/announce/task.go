package announce

import (
	"net"
	"net/netip"
	"slices"
)

// Mode is how an address is answered for.
type Mode int

const (
	// Own means that this node announces the address: it answers, and tells neighbours unasked.
	Own Mode = iota
	// Fresh is as Own, and nobody has announced the address before, so that a conflicting host may have it.
	Fresh
	// Yielding means that another node announces it from now on: this one answers until it sees the other do so.
	Yielding
	// Standin means that the speaker of the announcing node is away: this one answers with that node's MAC.
	Standin
)

// Announced reports whether this node is the one that announces the address.
func (m Mode) Announced() bool { return m == Own || m == Fresh }

// A Task is one address that a node has to answer for.
type Task struct {
	Addr netip.Addr
	// Links of this node on which it answers, by name, sorted.
	Links []string
	Mode  Mode
	// MACs to tell, by the name of the link; of a Standin only, which does not answer on links
	// that are not in it.
	MACs map[string]net.HardwareAddr
	// Insists grows when this node is to announce on, though it has fallen silent, as it heard another while it probed.
	Insists uint64
}

// TaskOf returns what a node has to do about an address of which this has been decided; false if nothing.
func TaskOf(of []Announcement, self string, nodes []Node) (Task, bool) {
	for i := range of {
		a := &of[i]
		t := Task{Addr: a.Address}
		if a.Reason != Announced {
			continue
		}
		switch self {
		case a.Node:
			t.Links = a.Links
			if a.Fresh {
				t.Mode = Fresh
			}
			return t, true
		case a.Standin:
			t.Mode, t.MACs = Standin, macs(a, nodes)
			for _, l := range a.StandinLinks {
				if t.MACs[l] != nil {
					t.Links = append(t.Links, l)
				}
			}
			return t, len(t.Links) > 0
		}
	}
	return Task{}, false
}

// macs returns, for each link of a standin, the MAC of the announcing node on the same segment.
func macs(a *Announcement, nodes []Node) map[string]net.HardwareAddr {
	out := map[string]net.HardwareAddr{}
	holder, standin := byName(nodes, a.Node), byName(nodes, a.Standin)
	if holder == nil || standin == nil {
		return out
	}
	for i := range standin.Links {
		own := &standin.Links[i]
		if !slices.Contains(a.StandinLinks, own.Name) {
			continue
		}
		for j := range holder.Links {
			their := &holder.Links[j]
			if slices.Contains(a.Links, their.Name) && their.MAC != nil && own.neighbours(their) {
				out[own.Name] = their.MAC
			}
		}
	}
	return out
}

func byName(nodes []Node, name string) *Node {
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &nodes[i]
}

// neighbours reports whether two links seem to be on one segment: they have a subnet in common or,
// where one of them has none, a name.
func (l *Link) neighbours(o *Link) bool {
	if len(l.Subnets) == 0 || len(o.Subnets) == 0 {
		return l.Name == o.Name
	}
	return slices.ContainsFunc(l.Subnets, func(p netip.Prefix) bool {
		return slices.ContainsFunc(o.Subnets, p.Overlaps)
	})
}
