// Package place proposes which node announces an address, so that all have the same number.
//
// A proposal is taken when an address is assigned, and written with it. The speakers follow
// it as long as they can, and write who announces from then on; a Placer learns that
// from the Services. It knows nothing of endpoints, and decides nothing for an address that has an announcer.
package place

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A Placer knows which node has how many addresses. It is safe for concurrent use, and does no I/O.
type Placer struct {
	mu       sync.Mutex
	snapshot *config.Snapshot
	nodes    []announce.Node
	// holders are the Services that have an address, with what their record says of it.
	holders map[netip.Addr]map[announce.Key][]string
	// of are the addresses of a Service.
	of map[announce.Key][]netip.Addr
	// first counts the addresses of a node, and next by node those that another would take over.
	first map[string]int
	next  map[pair]int
}

type pair struct{ first, next string }

// New returns a Placer that knows nothing.
func New() *Placer {
	return &Placer{
		snapshot: &config.Snapshot{}, holders: map[netip.Addr]map[announce.Key][]string{}, of: map[announce.Key][]netip.Addr{},
		first: map[string]int{}, next: map[pair]int{},
	}
}

// Configure sets the configuration and the nodes that there are.
func (p *Placer) Configure(s *config.Snapshot, nodes []announce.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snapshot, p.nodes = s, nodes
}

// First returns how many addresses a node is the first to announce.
func (p *Placer) First(node string) int { return p.first[node] }

// Next returns for how many of the addresses of one node another is the next.
func (p *Placer) Next(first, node string) int { return p.next[pair{first, node}] }

// Learn notes the record of a Service as it is read; a Service that is gone has none.
func (p *Placer) Learn(k announce.Key, record map[netip.Addr][]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learn(k, record)
}

func (p *Placer) learn(k announce.Key, record map[netip.Addr][]string) {
	for _, a := range p.of[k] {
		p.count(a, -1)
		if delete(p.holders[a], k); len(p.holders[a]) == 0 {
			delete(p.holders, a)
		}
		p.count(a, 1)
	}
	delete(p.of, k)
	for a, nodes := range record {
		p.count(a, -1)
		if p.holders[a] == nil {
			p.holders[a] = map[announce.Key][]string{}
		}
		p.holders[a][k] = nodes
		p.count(a, 1)
		p.of[k] = append(p.of[k], a)
	}
}

// recorded returns what is recorded of an address, by the first of the Services that have it.
func (p *Placer) recorded(a netip.Addr) []string {
	if by := p.holders[a]; len(by) > 0 {
		return by[slices.MinFunc(slices.Collect(maps.Keys(by)), announce.Key.Compare)]
	}
	return nil
}

func (p *Placer) count(a netip.Addr, by int) {
	r := p.recorded(a)
	if len(r) > 0 {
		add(p.first, r[0], by)
	}
	if len(r) > 1 {
		add(p.next, pair{r[0], r[1]}, by)
	}
}

// add counts; what there is none of is forgotten.
func add[K comparable](counts map[K]int, k K, by int) {
	if counts[k] += by; counts[k] == 0 {
		delete(counts, k)
	}
}

// Service returns a Service as announce wants to see it, with the nodes of its usable endpoints, one for each, sorted.
func Service(s *kube.Service, endpoints []string) *announce.Service {
	return &announce.Service{
		Key: announce.Key{Namespace: s.Namespace, Name: s.Name}, Labels: s.Labels, Addresses: s.Shown, Local: s.Local,
		Endpoints: endpoints, Record: s.Record(), InUse: s.InUse,
	}
}

// Place returns the record for the addresses of a Service: what it says already, what those say with whom it shares,
// or a proposal. Addresses that nobody can announce are not in it.
func (p *Placer) Place(s *kube.Service, addrs []netip.Addr) map[netip.Addr][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	svc, out := Service(s, nil), map[netip.Addr][]string{}
	k, record := svc.Key, svc.Record
	for _, a := range addrs {
		r := record[a]
		if len(r) == 0 {
			r = p.recorded(a)
		}
		if len(r) == 0 {
			r = announce.Place(p.snapshot, p.nodes, a, []*announce.Service{svc}, p)
		}
		if len(r) > 0 {
			out[a] = r
			p.learn(k, out)
		}
	}
	p.learn(k, out)
	return out
}
