package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// name is the namespace and name of an object.
type name struct{ namespace, name string }

// world is all that a speaker knows. One goroutine owns it.
type world struct {
	self string
	// dirty: something has changed since the last decision.
	dirty bool

	pools    map[string]v1beta1.IPAddressPool
	l2       map[string]v1beta1.L2Advertisement
	snapshot *config.Snapshot // of pools and l2; nil when they have changed

	nodes    map[string]kube.Node
	links    []link.Link                // of this node
	others   map[string][]announce.Link // of the other nodes, as their speakers report them
	speakers map[name]map[string]bool   // nodes with a ready speaker, by EndpointSlice

	services  map[announce.Key]kube.Service
	endpoints map[announce.Key]map[name]map[string]int // by EndpointSlice, then node

	// announced are conditions of the Services. They are apart, as they follow from
	// decisions and lead to none: a speaker that wrote one would else decide again.
	announced map[announce.Key]*metav1.Condition
}

func newWorld(self string) *world {
	return &world{
		self:  self,
		pools: map[string]v1beta1.IPAddressPool{}, l2: map[string]v1beta1.L2Advertisement{},
		nodes: map[string]kube.Node{}, others: map[string][]announce.Link{}, speakers: map[name]map[string]bool{},
		services: map[announce.Key]kube.Service{}, endpoints: map[announce.Key]map[name]map[string]int{},
		announced: map[announce.Key]*metav1.Condition{},
	}
}

// put notes a value, and that something has changed if it is another than before.
func put[K comparable, V any](w *world, m map[K]V, k K, v V) {
	if old, ok := m[k]; !ok || !reflect.DeepEqual(old, v) {
		m[k], w.dirty = v, true
	}
}

func drop[K comparable, V any](w *world, m map[K]V, k K) {
	if _, ok := m[k]; ok {
		delete(m, k)
		w.dirty = true
	}
}

// reconfigured notes that the configuration has changed.
func (w *world) reconfigured() { w.snapshot, w.dirty = nil, true }

// config returns the configuration in force.
func (w *world) config() *config.Snapshot {
	if w.snapshot == nil {
		w.snapshot, _ = config.Build(config.Objects{ // the controller tells of problems
			Pools:            slices.Collect(maps.Values(w.pools)),
			L2Advertisements: slices.Collect(maps.Values(w.l2)),
		})
	}
	return w.snapshot
}

// view returns what announce decides upon.
func (w *world) view() announce.View {
	v := announce.View{
		Nodes:    make([]announce.Node, 0, len(w.nodes)),
		Services: make([]announce.Service, 0, len(w.services)),
	}
	for _, n := range w.nodes {
		v.Nodes = append(v.Nodes, announce.Node{
			Name: n.Name, Labels: n.Labels, Ready: n.Ready, NetworkUnavailable: n.NetworkUnavailable, Excluded: n.Excluded,
			SpeakerReady: w.speakerReady(n.Name), Links: w.linksOf(n.Name),
		})
	}
	slices.SortFunc(v.Nodes, func(a, b announce.Node) int { return cmp.Compare(a.Name, b.Name) })
	for k, s := range w.services {
		if len(s.Shown) > 0 {
			v.Services = append(v.Services, announce.Service{
				Key: k, Labels: s.Labels, Addresses: s.Shown, Local: s.Local, Endpoints: w.endpointsOf(k),
			})
		}
	}
	return v
}

func (w *world) speakerReady(node string) bool {
	for _, nodes := range w.speakers {
		if nodes[node] {
			return true
		}
	}
	return false
}

func (w *world) linksOf(node string) []announce.Link {
	if node != w.self {
		return w.others[node]
	}
	out := make([]announce.Link, 0, len(w.links))
	for _, l := range w.links {
		out = append(out, announce.Link{Name: l.Name, Subnets: l.Subnets, DefaultRoutes: families(l)})
	}
	return out
}

func families(l link.Link) []config.Family {
	var out []config.Family
	if l.Default4 {
		out = append(out, config.IPv4)
	}
	if l.Default6 {
		out = append(out, config.IPv6)
	}
	return out
}

// reported reads the links that another node's speaker reports.
func reported(s *v1beta1.SpeakerStatus) []announce.Link {
	var out []announce.Link
	for _, i := range s.Status.Interfaces {
		l := announce.Link{Name: i.Name, DefaultRoutes: slices.Clone(i.DefaultRoutes)}
		for _, subnet := range i.Subnets {
			if p, err := netip.ParsePrefix(subnet); err == nil {
				l.Subnets = append(l.Subnets, p)
			}
		}
		out = append(out, l)
	}
	return out
}

func (w *world) endpointsOf(k announce.Key) map[string]int {
	slices := w.endpoints[k]
	if len(slices) == 1 {
		for _, nodes := range slices {
			return nodes
		}
	}
	out := map[string]int{}
	for _, nodes := range slices {
		for node, n := range nodes {
			out[node] += n
		}
	}
	return out
}
