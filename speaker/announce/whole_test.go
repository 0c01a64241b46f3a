package announce

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// These decide about a whole cluster at once, which no speaker does.

// A View is a whole cluster. Order does not matter.
type View struct {
	Nodes    []Node
	Services []Service
}

// A Plan says of every address of every Service who announces it.
type Plan struct {
	// Announcements by Service, then in the order of its addresses.
	Announcements []Announcement
}

// Decide says who announces each address of each Service.
func Decide(s *config.Snapshot, v View) Plan {
	services := slices.Clone(v.Services)
	slices.SortFunc(services, func(a, b Service) int { return a.Key.Compare(b.Key) })
	sharers := map[netip.Addr][]*Service{}
	for i := range services {
		for _, a := range services[i].Addresses {
			sharers[a] = append(sharers[a], &services[i])
		}
	}
	of := map[netip.Addr][]Announcement{}
	var p Plan
	for i := range services {
		for _, a := range services[i].Addresses {
			if of[a] == nil {
				of[a] = At(s, v.Nodes, a, sharers[a])
			}
			j := slices.Index(sharers[a], &services[i])
			p.Announcements = append(p.Announcements, of[a][j])
		}
	}
	return p
}
