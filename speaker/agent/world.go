package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
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
	// What has changed since the last decision: everything, or some Services, and what is to
	// be decided again of those: some addresses.
	all     bool
	touched map[announce.Key]bool
	due     map[netip.Addr]bool
	// since is when the first of that changed.
	since time.Time

	pools map[string]v1beta1.IPAddressPool
	l2    map[string]v1beta1.L2Advertisement
	// What BGP needs.
	bgpPeers    map[string]v1beta1.BGPPeer
	bgp         map[string]v1beta1.BGPAdvertisement
	bfd         map[string]v1beta1.BFDProfile
	communities map[string]v1beta1.Community
	passwords   map[string]password // by Secret
	snapshot    *config.Snapshot    // of all these; nil when they have changed

	nodes    map[string]kube.Node
	links    []link.Link                // of this node
	ipvs     bool                       // it has an interface link.IPVS
	others   map[string][]announce.Link // of the other nodes, as their speakers report them
	speakers map[name][]string          // nodes with a ready speaker, by EndpointSlice
	// key is that of what the speakers say to each other, the last one that could be used; gossip is what
	// they find out.
	key    []byte
	gossip Gossip
	// hosts are those outside of the cluster who use an address of ours, and probes says since when it is being found out
	// whether one is still there. reported is what the other speakers have found, by node.
	hosts    map[netip.Addr]Host
	probes   map[netip.Addr]time.Time
	reported map[string][]kube.Conflict
	// recovery is what is known of partitions, and of addresses that two nodes announce.
	recovery recovery
	// announces reports whether this node announces an address.
	announces func(netip.Addr) bool

	services map[announce.Key]held
	// slices are those of all Services, and endpoints the same by Service.
	slices    map[name]*kube.Slice
	endpoints map[announce.Key][]*kube.Slice
	// sharers are the Services that have an address, sorted.
	sharers map[netip.Addr][]announce.Key

	// announced are conditions of the Services. They are apart, as they follow from
	// decisions and lead to none: a speaker that wrote one would else decide again.
	announced map[announce.Key]*metav1.Condition
}

func newWorld(self string) *world {
	return &world{
		self: self, touched: map[announce.Key]bool{}, due: map[netip.Addr]bool{},
		hosts: map[netip.Addr]Host{}, probes: map[netip.Addr]time.Time{}, reported: map[string][]kube.Conflict{},
		recovery: newRecovery(self), announces: func(netip.Addr) bool { return false },
		pools: map[string]v1beta1.IPAddressPool{}, l2: map[string]v1beta1.L2Advertisement{},
		bgpPeers: map[string]v1beta1.BGPPeer{}, bgp: map[string]v1beta1.BGPAdvertisement{}, bfd: map[string]v1beta1.BFDProfile{},
		communities: map[string]v1beta1.Community{}, passwords: map[string]password{},
		nodes: map[string]kube.Node{}, others: map[string][]announce.Link{}, speakers: map[name][]string{},
		services: map[announce.Key]held{}, slices: map[name]*kube.Slice{}, endpoints: map[announce.Key][]*kube.Slice{},
		sharers:   map[netip.Addr][]announce.Key{},
		announced: map[announce.Key]*metav1.Condition{},
	}
}

// dirty reports whether anything has changed that is not decided upon yet.
func (w *world) dirty() bool { return w.all || len(w.touched)+len(w.due) > 0 }

// settled notes that all that has changed is decided upon.
func (w *world) settled() {
	w.all, w.touched, w.due = false, map[announce.Key]bool{}, map[netip.Addr]bool{} // cleared, they would stay as large as ever
	w.since = time.Time{}
}

// take makes a change, and notes when the first came of those that are not decided upon yet.
func (w *world) take(change func(*world)) {
	if change(w); w.since.IsZero() && w.dirty() {
		w.since = time.Now()
	}
}

// put sets a value, and reports whether it is another than before.
func put[K comparable, V any](m map[K]V, k K, v V) bool {
	if old, ok := m[k]; ok && reflect.DeepEqual(old, v) {
		return false
	}
	m[k] = v
	return true
}

func drop[K comparable, V any](m map[K]V, k K) bool {
	_, ok := m[k]
	delete(m, k)
	return ok
}

// changed notes that everything has to be decided again, if it is so.
func (w *world) changed(is bool) { w.all = w.all || is }

// reconfigured notes that the configuration has changed.
func (w *world) reconfigured() { w.snapshot, w.all = nil, true }

// held is what a speaker keeps of a Service; it has thousands of them.
type held struct {
	labels       map[string]string
	shown, inUse []netip.Addr
	// announcers is the annotation of that name.
	announcers       string
	local, contested bool
}

// heldOf reads a Service of the cache, which nobody changes: the result shares its labels.
func heldOf(svc *corev1.Service) held {
	out := held{
		labels: svc.Labels, announcers: svc.Annotations[kube.AnnotationAnnouncers], local: svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
		contested: meta.IsStatusConditionTrue(svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict),
	}
	out.shown, _ = kube.Shown(svc)
	if out.inUse = kube.InUse(svc.Annotations[kube.AnnotationInUse], out.shown); slices.Equal(out.inUse, out.shown) {
		out.inUse = out.shown
	}
	return out
}

// record says of each address who is to announce it, and who is to next.
func (s *held) record() map[netip.Addr][]string { return kube.Announcers(s.announcers) }

// putService notes a Service, and reports whether that means anything.
func (w *world) putService(k announce.Key, s held) bool {
	before := w.services[k]
	if !put(w.services, k, s) {
		return false
	}
	if before.announcers != s.announcers {
		was, is := before.record(), s.record()
		maps.DeleteFunc(w.recovery.elsewhere, func(a netip.Addr, _ sight) bool { return !slices.Equal(was[a], is[a]) })
	}
	w.reshare(k, before.shown, s.shown)
	return true
}

func (w *world) dropService(k announce.Key) {
	before := w.services[k].shown
	if drop(w.services, k) {
		w.reshare(k, before, nil)
	}
}

// reshare notes that a Service has other addresses, and that all with whom it shared or
// shares one are to be looked at.
func (w *world) reshare(k announce.Key, before, now []netip.Addr) {
	w.touch(k, before...)
	w.touch(k, now...)
	for _, a := range before {
		if keys := slices.DeleteFunc(w.sharers[a], func(o announce.Key) bool { return o == k }); len(keys) > 0 {
			w.sharers[a] = keys
		} else {
			delete(w.sharers, a)
			w.recovery.forget(a)
		}
	}
	for _, a := range now {
		i, _ := slices.BinarySearchFunc(w.sharers[a], k, announce.Key.Compare)
		w.sharers[a] = slices.Insert(w.sharers[a], i, k)
	}
}

func (w *world) touch(k announce.Key, addrs ...netip.Addr) {
	w.touched[k] = true
	for _, a := range addrs {
		w.due[a] = true
	}
}

// putSlice notes the endpoints of a Service, of which most have one slice.
func (w *world) putSlice(s *kube.Slice) {
	at, k := name{s.Namespace, s.Name}, keyOf(s)
	before := w.slices[at]
	if before != nil && keyOf(before) != k { // its label says another Service now
		w.dropSlice(at)
		before = nil
	}
	w.slices[at] = s
	if before == nil {
		w.endpoints[k] = append(slices.Clip(w.endpoints[k]), s)
	} else {
		w.endpoints[k][slices.Index(w.endpoints[k], before)] = s
	}
	if before == nil || !slices.Equal(before.Usable, s.Usable) {
		w.moved(k)
	}
}

// keyOf names the Service that a slice is of.
func keyOf(s *kube.Slice) announce.Key { return announce.Key{Namespace: s.Namespace, Name: s.Service} }

// moved notes that a Service has other endpoints. Those of most say nothing: they have no address of ours.
func (w *world) moved(k announce.Key) {
	if s, ours := w.services[k]; ours {
		w.touch(k, s.shown...)
	}
}

func (w *world) dropSlice(at name) {
	s := w.slices[at]
	if s == nil {
		return
	}
	delete(w.slices, at)
	k := keyOf(s)
	w.endpoints[k] = slices.DeleteFunc(w.endpoints[k], func(o *kube.Slice) bool { return o == s })
	if len(w.endpoints[k]) == 0 {
		delete(w.endpoints, k)
	}
	w.moved(k)
}

// config returns the active configuration.
func (w *world) config() *config.Snapshot {
	if w.snapshot == nil {
		w.snapshot, _ = config.Build(config.Objects{ // the controller tells of problems
			Pools:            slices.Collect(maps.Values(w.pools)),
			L2Advertisements: slices.Collect(maps.Values(w.l2)),

			BGPPeers: slices.Collect(maps.Values(w.bgpPeers)), BGPAdvertisements: slices.Collect(maps.Values(w.bgp)),
			BFDProfiles: slices.Collect(maps.Values(w.bfd)), Communities: slices.Collect(maps.Values(w.communities)),
		})
	}
	return w.snapshot
}

// view returns the nodes, sorted, as announce wants to see them.
func (w *world) view() []announce.Node {
	out := make([]announce.Node, 0, len(w.nodes))
	for _, n := range w.nodes {
		v := announce.Node{
			Name: n.Name, Labels: n.Labels, Ready: n.Ready, NetworkUnavailable: n.NetworkUnavailable, Excluded: n.Excluded,
			Retiring: n.OutOfService || n.Cordoned, SpeakerReady: w.speakerReady(n.Name), Links: w.linksOf(n.Name),
		}
		if w.gossiping() {
			p := w.gossip.peer(w.self, n.Name)
			v.Presence, v.Impaired = p.Presence, p.Impaired
			if p.Links != nil {
				v.Links = slices.DeleteFunc(slices.Clone(v.Links), func(l announce.Link) bool { return !slices.Contains(p.Links, l.Name) })
			}
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b announce.Node) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// service returns a Service as announce wants to see it.
func (w *world) service(k announce.Key) *announce.Service {
	s := w.services[k]
	return &announce.Service{
		Key: k, Labels: s.labels, Addresses: s.shown, Local: s.local, Endpoints: w.endpointsOf(k),
		Record: w.recordOf(&s), InUse: s.inUse,
	}
}

// recordOf returns what is recorded of a Service's addresses, as far as it has not been found to be outdated.
func (w *world) recordOf(s *held) map[netip.Addr][]string {
	out := s.record()
	for _, a := range s.shown {
		if r := w.recovery.recorded(a, out[a]); len(r) > 0 {
			if out == nil {
				out = map[netip.Addr][]string{}
			}
			out[a] = r
		}
	}
	return out
}

func (w *world) speakerReady(node string) bool {
	for _, nodes := range w.speakers {
		if slices.Contains(nodes, node) {
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
		out = append(out, announce.Link{Name: l.Name, MAC: l.MAC, MTU: l.MTU, Subnets: l.Subnets, DefaultRoutes: families(l)})
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

// endpointsOf returns the nodes of a Service's usable endpoints, one for each, sorted.
func (w *world) endpointsOf(k announce.Key) []string {
	all := w.endpoints[k]
	if len(all) == 1 {
		return all[0].Usable
	}
	var out []string
	for _, s := range all {
		out = append(out, s.Usable...)
	}
	slices.Sort(out)
	return out
}
