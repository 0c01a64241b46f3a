package announce

import (
	"cmp"
	"net/netip"
	"slices"
)

// Key names a Service.
type Key struct{ Namespace, Name string }

// String returns namespace/name.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Compare orders Keys by namespace, then name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, other.Namespace), cmp.Compare(k.Name, other.Name))
}

// A Service is one Service that has addresses.
type Service struct {
	Key
	Labels    map[string]string
	Addresses []netip.Addr
	// Local: only nodes with an endpoint may announce (externalTrafficPolicy Local).
	Local bool
	// Endpoints are the nodes of the usable endpoints, one for each endpoint, sorted; empty for one that is on no known node.
	Endpoints []string
	// Record says of each address who is to announce it, and who is to next, in order.
	Record map[netip.Addr][]string
	// InUse are the addresses that are known to have been announced before.
	InUse []netip.Addr
}

// on counts the usable endpoints on a node.
func (s *Service) on(node string) int {
	first, _ := slices.BinarySearch(s.Endpoints, node)
	n := 0
	for _, x := range s.Endpoints[first:] {
		if x != node {
			break
		}
		n++
	}
	return n
}
