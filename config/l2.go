package config

import (
	"fmt"
	"path"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// An L2 is one way to announce the addresses of some pools on layer 2.
type L2 struct {
	scope

	Name       string
	interfaces []string // sorted patterns
	preferred  []preference
}

type preference struct {
	weight int
	nodes  selectors
}

func parseL2(name string, in *v1beta1.L2AdvertisementSpec) (*L2, []fault) {
	l := &L2{Name: name, interfaces: slices.Sorted(slices.Values(in.Interfaces))}
	var faults []fault
	l.scope, faults = parseScope(scopeSpec{in.IPAddressPools, in.IPAddressPoolSelectors, in.NodeSelectors, in.ServiceSelectors})
	for i := range in.PreferredNodeSelectors {
		p := &in.PreferredNodeSelectors[i]
		s, err := parseSelectors(fmt.Sprintf("preferredNodeSelectors[%d].preference", i), []v1beta1.LabelSelector{p.Preference})
		if err != nil {
			faults = append(faults, fault{InvalidSelector, err.Error()})
		}
		l.preferred = append(l.preferred, preference{int(p.Weight), s})
	}
	for _, pattern := range l.interfaces {
		if _, err := path.Match(pattern, ""); err != nil {
			faults = append(faults, fault{InvalidInterface, fmt.Sprintf("interfaces: %q: %s", pattern, err)})
		}
	}
	return l, faults
}

// Preference returns the sum of the weights that a node gets.
func (l *L2) Preference(nodeLabels map[string]string) int {
	sum := 0
	for _, p := range l.preferred {
		if p.nodes.any(nodeLabels) {
			sum += p.weight
		}
	}
	return sum
}

// AnyInterface reports whether the choice of interfaces is left to the node.
func (l *L2) AnyInterface() bool { return len(l.interfaces) == 0 }

// SelectsInterface reports whether the advertisement names an interface.
func (l *L2) SelectsInterface(name string) bool {
	return slices.ContainsFunc(l.interfaces, func(pattern string) bool {
		ok, _ := path.Match(pattern, name) // the pattern was tried in parseL2
		return ok
	})
}
