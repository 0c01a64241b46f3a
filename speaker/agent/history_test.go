package agent

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// TestHistory lets all that a speaker knows change at random. After each decision, which is about what has
// changed, the plan is what a decision about everything comes to.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := history{T: t, a: testAgent(nil), w: newWorld("node-1"), p: newPlan("node-1", time.Second, time.Minute, false), now: time.Unix(1_000_000, 0), routes: map[netip.Prefix]announce.Route{}}
		h.a.YieldCordoned = true
		h.begin()
		for range rapid.IntRange(1, 40).Draw(t, "decisions") {
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				h.change()
				h.a.drain(h.w)
			}
			h.decide()
		}
	})
}

// history is a random one.
type history struct {
	*rapid.T
	a          *Agent
	w          *world
	p          *plan
	now        time.Time
	generation int64
	// routes are what all decisions together have made of them.
	routes map[netip.Prefix]announce.Route
}

var (
	historyNodes    = []string{"node-1", "node-2", "node-3", "node-4"}
	historyServices = []string{"a", "b", "c"}
	// The last one is in no pool.
	historyAddrs = []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2"), addr("198.51.100.1"), addr("203.0.113.9")}
	// historyLinks are those that a node may have.
	historyLinks = []link.Link{
		{Name: "eth0", Subnets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{Name: "eth1", Subnets: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, Default4: true},
	}
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// begin makes a cluster in which something can be announced, so that histories need not find their way to one.
func (h *history) begin() {
	h.put(&v1beta1.IPAddressPool{ObjectMeta: h.meta("main"), Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24", "198.51.100.0/24"}}})
	h.put(&v1beta1.L2Advertisement{ObjectMeta: h.meta("l0")})
	h.put(&v1beta1.BGPAdvertisement{ObjectMeta: h.meta("b0")})
	h.put(historyRouter(h.meta("r0"), "203.0.113.1"))
	for _, n := range historyNodes {
		h.put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}})
		h.put(&v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: v1beta1.SpeakerStatusStatus{Interfaces: interfaces(n, historyLinks)}})
	}
	h.put(slice("fairlead-system", "speaker-x", "speaker", historyNodes...))
	h.w.links = linksOf("node-1", historyLinks)
}

func (h *history) put(o client.Object) {
	h.a.cached(o)(h.w)
}

func (h *history) drop(kind int, namespace, of string) {
	h.a.kinds()[kind].drop(name{namespace, of})(h.w)
}

func (h *history) meta(name string) metav1.ObjectMeta {
	h.generation++
	return metav1.ObjectMeta{Name: name, Generation: h.generation}
}

// rarely is true once in four times.
func (h *history) rarely(what string) bool { return rapid.IntRange(0, 3).Draw(h.T, what) == 0 }

func (h *history) node() string    { return rapid.SampledFrom(historyNodes).Draw(h.T, "node") }
func (h *history) nodes() []string { return some(h, historyNodes) }
func (h *history) of() string      { return rapid.SampledFrom(historyServices).Draw(h.T, "service") }

// some returns a part of all, in its order.
func some[T any](h *history, all []T) []T {
	var out []T
	for i := range all {
		if rapid.Bool().Draw(h.T, "with") {
			out = append(out, all[i])
		}
	}
	return out
}

func mac(node, link string) net.HardwareAddr {
	return net.HardwareAddr{2, 0, 0, 0, node[len(node)-1], link[len(link)-1]}
}

func linksOf(node string, links []link.Link) []link.Link {
	out := slices.Clone(links)
	for i := range out {
		out[i].MAC = mac(node, out[i].Name)
	}
	return out
}

func interfaces(node string, links []link.Link) []v1beta1.SpeakerInterface {
	var out []v1beta1.SpeakerInterface
	for _, l := range links {
		i := v1beta1.SpeakerInterface{Name: l.Name, MAC: mac(node, l.Name).String(), Subnets: []string{l.Subnets[0].String()}}
		if l.Default4 {
			i.DefaultRoutes = []v1beta1.IPFamily{v1beta1.IPv4}
		}
		out = append(out, i)
	}
	return out
}

func historyRouter(m metav1.ObjectMeta, address string) *v1beta1.BGPPeer {
	return &v1beta1.BGPPeer{ObjectMeta: m, Spec: v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: address}}
}

// change changes something.
func (h *history) change() {
	changes := map[string]func(){
		"service": h.service, "service again": h.service, "record": h.service, "slice": h.slice, "slice again": h.slice,
		"node": h.changeNode, "speaker": h.speaker, "advertisement": h.advertisement, "pool": h.pool,
		"bgp": h.bgp, "router": h.router,
		"gossip": h.gossip, "gossip again": h.gossip, "sighting": h.sighting, "time": func() {
			h.now = h.now.Add(time.Duration(rapid.IntRange(0, 200).Draw(h.T, "seconds")) * time.Second)
		},
		"service gone": func() { h.drop(aService, "ns", h.of()) },
		"slice gone":   func() { h.drop(aSlice, "ns", h.of()+"-1") },
		"relabelled":   func() { h.put(slice("ns", h.of()+"-1", h.of(), h.nodes()...)) },
		"answer": func() {
			h.a.Answered(rapid.SampledFrom(historyAddrs).Draw(h.T, "address"), h.node(), rapid.Bool().Draw(h.T, "announces"), rapid.Bool().Draw(h.T, "returning"))
		},
		"report": func() {
			h.w.report(h.node(), []kube.Conflict{{Addr: rapid.SampledFrom(historyAddrs).Draw(h.T, "address"), Namespace: "ns", Service: h.of(), MAC: "02:ff:00:00:00:02", Node: "node-2"}})
		},
		"links":    func() { h.w.links, h.w.all = linksOf("node-1", some(h, historyLinks)), true },
		"speakers": func() { h.put(slice("fairlead-system", "speaker-x", "speaker", h.nodes()...)) },
		"key":      func() { h.put(kube.NewGossipSecret("fairlead-system", func([]byte) {})) },
	}
	changes[rapid.SampledFrom(slices.Sorted(maps.Keys(changes))).Draw(h.T, "change")]()
}

func (h *history) service() {
	svc := service("")
	svc.Name = h.of()
	svc.Labels = map[string]string{"app": svc.Name}
	if h.rarely("local") {
		svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	record, used := map[netip.Addr][]string{}, []netip.Addr(nil)
	for _, a := range some(h, historyAddrs) {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a.String()})
		if nodes := h.nodes(); len(nodes) > 0 {
			record[a] = nodes
		}
		if h.rarely("in use") {
			used = append(used, a)
		}
	}
	svc.Annotations[kube.AnnotationAnnouncers] = kube.AnnouncersText(record)
	kube.Annotate(svc, kube.AnnotationInUse, kube.InUseText(used))
	h.put(svc)
}

func (h *history) slice() {
	svc := h.of()
	h.put(slice("ns", fmt.Sprintf("%s-%d", svc, rapid.IntRange(1, 2).Draw(h.T, "slice")), svc, h.nodes()...))
}

func (h *history) changeNode() {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: h.node(), Labels: map[string]string{"zone": rapid.SampledFrom([]string{"a", "b"}).Draw(h.T, "zone")}}}
	if h.rarely("gone") {
		h.drop(aNode, "", n.Name)
		return
	}
	if h.rarely("excluded") {
		n.Labels[corev1.LabelNodeExcludeBalancers] = ""
	}
	n.Spec.Unschedulable = h.rarely("cordoned")
	if !h.rarely("unready") {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue})
	}
	if h.rarely("without network") {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue})
	}
	h.put(n)
}

func (h *history) speaker() {
	s := &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: h.node()}}
	if h.rarely("gone") {
		h.drop(aSpeaker, "", s.Name)
		return
	}
	s.Status.Interfaces = interfaces(s.Name, some(h, historyLinks))
	h.put(s)
}

func (h *history) advertisement() {
	l := &v1beta1.L2Advertisement{ObjectMeta: h.meta(rapid.SampledFrom([]string{"l0", "l1"}).Draw(h.T, "advertisement"))}
	if h.rarely("gone") {
		h.drop(anAdvertisement, "", l.Name)
		return
	}
	by := func(k, v string) []v1beta1.LabelSelector {
		return []v1beta1.LabelSelector{{MatchLabels: map[string]string{k: v}}}
	}
	if h.rarely("of a zone") {
		l.Spec.NodeSelectors = by("zone", "a")
	}
	if h.rarely("of a Service") {
		l.Spec.ServiceSelectors = by("app", h.of())
	}
	if h.rarely("on an interface") {
		l.Spec.Interfaces = []string{"eth1"}
	}
	h.put(l)
}

func (h *history) bgp() {
	b := &v1beta1.BGPAdvertisement{ObjectMeta: h.meta(rapid.SampledFrom([]string{"b0", "b1"}).Draw(h.T, "advertisement"))}
	if h.rarely("gone") {
		h.drop(aRoute, "", b.Name)
		return
	}
	if h.rarely("of a zone") {
		b.Spec.NodeSelectors = []v1beta1.LabelSelector{{MatchLabels: map[string]string{"zone": "a"}}}
	}
	if h.rarely("to one") {
		b.Spec.Peers = []string{"r1"}
	}
	if h.rarely("aggregated") {
		b.Spec.AggregationLength = new(int32(28))
	}
	b.Spec.WeightByEndpoints = h.rarely("weighted")
	h.put(b)
}

func (h *history) router() {
	name := rapid.SampledFrom([]string{"r0", "r1"}).Draw(h.T, "router")
	if h.rarely("gone") {
		h.drop(aRouter, "", name)
		return
	}
	p := historyRouter(h.meta(name), map[string]string{"r0": "203.0.113.1", "r1": "203.0.113.2"}[name])
	if h.rarely("of a zone") {
		p.Spec.NodeSelectors = []v1beta1.LabelSelector{{MatchLabels: map[string]string{"zone": "b"}}}
	}
	h.put(p)
}

func (h *history) pool() {
	p := &v1beta1.IPAddressPool{ObjectMeta: h.meta("main")}
	if h.rarely("gone") {
		h.drop(aPool, "", p.Name)
		return
	}
	p.Spec.Addresses = append([]string{"192.0.2.1/32"}, some(h, []string{"192.0.2.2/32", "198.51.100.0/24"})...)
	h.put(p)
}

func (h *history) gossip() {
	g := Gossip{Failed: h.rarely("failed"), Peers: map[string]Peer{}, Heals: rapid.Uint64Range(0, 2).Draw(h.T, "heals")}
	for _, n := range h.nodes() {
		p := Peer{Presence: announce.Presence(rapid.IntRange(int(announce.Alive), int(announce.Gone)).Draw(h.T, "presence")), Impaired: h.rarely("impaired")}
		if h.rarely("says its links") {
			p.Links = []string{"eth0"}
		}
		g.Peers[n] = p
	}
	h.a.SetGossip(g)
}

func (h *history) sighting() {
	s := Host{MAC: "02:ff:00:00:00:01", Link: "eth0", Before: rapid.Bool().Draw(h.T, "before"), Seen: h.now}
	if h.rarely("a speaker") {
		s.MAC = mac(h.node(), "eth0").String()
	}
	h.a.Sighted(rapid.SampledFrom(historyAddrs).Draw(h.T, "address"), s)
}

// decide does as the Agent does, and checks what comes of it.
func (h *history) decide() {
	before := h.changes()
	h.w.forget(h.now)
	h.p.expire(h.now)
	nodes := h.w.view()
	told := h.p.decide(h.w, nodes, h.now)
	if h.w.dirty() {
		h.Fatal("something is not decided upon")
	}
	compare := []cmp.Option{cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}
	of := h.scratch(nodes)
	if diff := cmp.Diff(of, h.p.of, compare...); diff != "" {
		h.Fatalf("from scratch, incremental:\n%s", diff)
	}
	tasks, yields := map[netip.Addr]announce.Task{}, map[netip.Addr]bool{}
	for _, t := range h.p.tasks {
		a := t.Addr
		if t.Mode != announce.Yielding {
			tasks[a] = t
			continue
		}
		yields[a] = true
		if !slices.ContainsFunc(of[a], func(x announce.Announcement) bool { return x.Node != "" && x.Node != "node-1" }) {
			h.Fatalf("%s is yielded to nobody", a)
		}
		if until, ok := h.p.yields[a]; !ok || !until.After(h.now) || until.After(h.now.Add(yieldFor)) {
			h.Fatalf("%s is yielded until %s", a, until)
		}
	}
	if len(yields) != len(h.p.yields) {
		h.Fatalf("%v are yielded, and %v are to end", yields, h.p.yields)
	}
	want := map[netip.Addr]announce.Task{}
	for a := range of {
		if t, ok := announce.TaskOf(h.w.probing(a, of[a]), "node-1", nodes); ok {
			want[a] = t
		}
	}
	if diff := cmp.Diff(want, tasks, compare...); diff != "" {
		h.Fatalf("tasks from scratch, incremental:\n%s", diff)
	}
	h.route(nodes)
	worked := map[netip.Addr]announce.Task{}
	for _, t := range h.p.work(&h.w.recovery) {
		worked[t.Addr] = t
	}
	for _, t := range h.p.tasks {
		t.Mode, t.Insists = h.w.recovery.mode(t.Addr, t.Mode), h.w.recovery.insists[t.Addr]
		if diff := cmp.Diff(t, worked[t.Addr], compare...); diff != "" || len(worked) != len(h.p.tasks) {
			h.Fatalf("what is handed out differs: %s", diff)
		}
	}
	after := h.changes()
	for _, k := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
		if diff := cmp.Diff(before[k], after[k], compare...); diff != "" && !slices.Contains(told, k) {
			h.Fatalf("%s is not told of, before and after:\n%s", k, diff)
		}
	}
}

// route checks that what all decisions have made of the routes is what one makes of everything.
func (h *history) route(nodes []announce.Node) {
	for _, r := range h.p.routes {
		if h.routes[r.Prefix] = r; len(r.Peers) == 0 {
			delete(h.routes, r.Prefix)
		}
	}
	own := byName(nodes, "node-1")
	if own == nil && !h.p.routing.left {
		return // it announces as when there was a Node
	}
	want := map[netip.Prefix]announce.Route{}
	if own != nil {
		table := announce.NewRoutes("node-1")
		table.Configure(h.snapshot(), nodes, announce.DutyOf(own, h.p.routing.left))
		for k := range h.w.services {
			table.Set(k, h.w.service(k))
		}
		for _, r := range table.Changed() {
			want[r.Prefix] = r
		}
	}
	if diff := cmp.Diff(want, h.routes, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		h.Fatalf("routes from scratch, incremental:\n%s", diff)
	}
}

func (h *history) snapshot() *config.Snapshot {
	s, _ := config.Build(config.Objects{
		Pools: slices.Collect(maps.Values(h.w.pools)), L2Advertisements: slices.Collect(maps.Values(h.w.l2)),
		BGPPeers: slices.Collect(maps.Values(h.w.bgpPeers)), BGPAdvertisements: slices.Collect(maps.Values(h.w.bgp)),
	})
	return s
}

// scratch decides about everything again.
func (h *history) scratch(nodes []announce.Node) map[netip.Addr][]announce.Announcement {
	snapshot := h.snapshot()
	out := map[netip.Addr][]announce.Announcement{}
	for _, a := range historyAddrs {
		var sharers []*announce.Service
		for _, k := range slices.SortedFunc(maps.Keys(h.w.services), announce.Key.Compare) {
			if s := h.w.service(k); slices.Contains(s.Addresses, a) {
				sharers = append(sharers, s)
			}
		}
		if len(sharers) > 0 {
			out[a] = h.w.refuse(a, announce.At(snapshot, nodes, a, sharers))
		}
	}
	return out
}

// changes returns what holds of each Service, but for what leads to no decision.
func (h *history) changes() map[announce.Key]Change {
	out := map[announce.Key]Change{}
	for k := range h.w.services {
		c := h.p.change(h.w, k)
		c.Announced = nil
		out[k] = c
	}
	return out
}
