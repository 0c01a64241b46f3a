package config

import (
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// scope is what an advertisement is for, whatever the protocol: pools, nodes and Services.
type scope struct {
	pools         []string // sorted
	poolSelectors selectors
	nodes         selectors
	services      selectors
}

// scopeSpec is scope as operators write it.
type scopeSpec struct {
	pools                          []string
	poolSelectors, nodes, services []v1beta1.LabelSelector
}

// parseScope returns all that is wrong with a scope.
func parseScope(in scopeSpec) (scope, []fault) {
	s := scope{pools: slices.Sorted(slices.Values(in.pools))}
	var faults []fault
	read := func(field string, in []v1beta1.LabelSelector) selectors {
		out, err := parseSelectors(field, in)
		if err != nil {
			faults = append(faults, fault{InvalidSelector, err.Error()})
		}
		return out
	}
	s.poolSelectors = read("ipAddressPoolSelectors", in.poolSelectors)
	s.nodes = read("nodeSelectors", in.nodes)
	s.services = read("serviceSelectors", in.services)
	return s, faults
}

// Announces reports whether the advertisement is for a pool.
func (s *scope) Announces(p *Pool) bool {
	if len(s.pools) == 0 && len(s.poolSelectors) == 0 {
		return true
	}
	_, named := slices.BinarySearch(s.pools, p.Name)
	return named || s.poolSelectors.any(p.labels)
}

// SelectsService reports whether the advertisement is for a Service, by its labels.
func (s *scope) SelectsService(labels map[string]string) bool { return s.services.admit(labels) }

// SelectsNode reports whether a node may announce, by its labels.
func (s *scope) SelectsNode(labels map[string]string) bool { return s.nodes.admit(labels) }
