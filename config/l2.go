package config

import (
	"fmt"
	"path"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// An L2 is one way to announce the addresses of some pools on layer 2.
type L2 struct {
	Name string

	pools         []string // sorted
	poolSelectors selectors
	nodes         selectors
	services      selectors
	interfaces    []string // sorted patterns
	preferred     []preference
}

type preference struct {
	weight int
	nodes  selectors
}

// parseL2Forms reads an advertisement or, if it cannot be read, the form in which it was last accepted; nil if there is none.
func parseL2Forms(in *v1beta1.L2Advertisement) (*L2, []Problem) {
	l, problems := parseL2(in)
	if len(problems) == 0 {
		return l, nil
	}
	if in.Status.AcceptedSpec == nil {
		return nil, problems
	}
	former := *in
	former.Spec = *in.Status.AcceptedSpec
	if l, faults := parseL2(&former); len(faults) == 0 {
		return l, noteFormer(problems)
	}
	return nil, problems
}

func parseL2(in *v1beta1.L2Advertisement) (*L2, []Problem) {
	ref := Ref{L2Advertisement, in.Name}
	l := &L2{
		Name:       in.Name,
		pools:      slices.Sorted(slices.Values(in.Spec.IPAddressPools)),
		interfaces: slices.Sorted(slices.Values(in.Spec.Interfaces)),
	}
	var problems []Problem
	fault := func(r Reason, err error) {
		if err != nil {
			problems = append(problems, Problem{ref, r, err.Error()})
		}
	}
	var err error
	l.poolSelectors, err = parseSelectors("ipAddressPoolSelectors", in.Spec.IPAddressPoolSelectors)
	fault(InvalidSelector, err)
	l.nodes, err = parseSelectors("nodeSelectors", in.Spec.NodeSelectors)
	fault(InvalidSelector, err)
	l.services, err = parseSelectors("serviceSelectors", in.Spec.ServiceSelectors)
	fault(InvalidSelector, err)
	for i := range in.Spec.PreferredNodeSelectors {
		p := &in.Spec.PreferredNodeSelectors[i]
		s, err := parseSelectors(fmt.Sprintf("preferredNodeSelectors[%d].preference", i), []v1beta1.LabelSelector{p.Preference})
		fault(InvalidSelector, err)
		l.preferred = append(l.preferred, preference{int(p.Weight), s})
	}
	for _, pattern := range l.interfaces {
		if _, err := path.Match(pattern, ""); err != nil {
			fault(InvalidInterface, fmt.Errorf("interfaces: %q: %w", pattern, err))
		}
	}
	return l, problems
}

// announces reports whether the advertisement is for a pool.
func (l *L2) announces(p *Pool) bool {
	if len(l.pools) == 0 && len(l.poolSelectors) == 0 {
		return true
	}
	_, named := slices.BinarySearch(l.pools, p.Name)
	return named || l.poolSelectors.any(p.labels)
}

// SelectsService reports whether the advertisement is for a Service, by its labels.
func (l *L2) SelectsService(labels map[string]string) bool { return l.services.admit(labels) }

// SelectsNode reports whether a node may announce, by its labels.
func (l *L2) SelectsNode(labels map[string]string) bool { return l.nodes.admit(labels) }

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
