package kube

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Announcers reads the annotation of that name, such as "192.0.2.7=node-1,node-2; 2001:db8::7=node-2": for each
// address the node that announces it, then the one that would next. What cannot be read is left out:
// it is Fairlead's own, and created again. It is read at each decision about the Service, so what is too long is not read at all.
func Announcers(text string) map[netip.Addr][]string {
	var out map[netip.Addr][]string
	if len(text) > maxAnnouncers {
		return nil
	}
	for part := range strings.SplitSeq(text, ";") {
		address, list, ok := strings.Cut(strings.TrimSpace(part), "=")
		a, err := netip.ParseAddr(address)
		if !ok || err != nil || a.Zone() != "" {
			continue
		}
		nodes := make([]string, 0, 2)
		for n := range strings.SplitSeq(list, ",") {
			if n = strings.TrimSpace(n); n != "" && len(nodes) < maxNodes {
				nodes = append(nodes, n)
			}
		}
		if len(nodes) > 0 && len(out) < maxAddresses {
			if out == nil {
				out = map[netip.Addr][]string{}
			}
			out[a.Unmap()] = nodes
		}
	}
	return out
}

// Bounds of what Announcers reads: a Service has two addresses at most, and each the node that announces it and the next. Names of nodes
// have up to 253 bytes.
const (
	maxAnnouncers = 2048
	maxAddresses  = 4
	maxNodes      = 4
)

// AnnouncersText writes what Announcers reads, sorted by address.
func AnnouncersText(record map[netip.Addr][]string) string {
	parts := make([]string, 0, len(record))
	for _, a := range slices.SortedFunc(maps.Keys(record), netip.Addr.Compare) {
		parts = append(parts, a.String()+"="+strings.Join(record[a], ","))
	}
	return strings.Join(parts, "; ")
}

// ByNode is how the condition Announced says that a node announces an address.
func ByNode(a netip.Addr, node string) string { return a.String() + " by node " + node }

// InUse reads the annotation of that name: which of some addresses have been announced.
func InUse(text string, shown []netip.Addr) []netip.Addr {
	var out []netip.Addr
	if len(text) > maxValue {
		return nil
	}
	for _, a := range parseAll(strings.Split(text, ",")) {
		if slices.Contains(shown, a) {
			out = append(out, a)
		}
	}
	return out
}

// InUseText writes what InUse reads.
func InUseText(addrs []netip.Addr) string { return texts(addrs) }
