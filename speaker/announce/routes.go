package announce

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/config"
)

// Duty says what a node does by BGP.
type Duty int

const (
	// Serving means that the node announces its routes.
	Serving Duty = iota
	// Leaving means that it announces them for a last time, with GRACEFUL_SHUTDOWN (RFC 8326): routers choose other nodes,
	// and send here what is on its way.
	Leaving
	// Relieved means that it announces only what no other node can.
	Relieved
	// Off means that it announces nothing.
	Off
)

// DutyOf returns the duty of a node; nil for one whose Node was deleted. Left says that it has been Leaving long enough.
func DutyOf(n *Node, left bool) Duty {
	switch {
	case n != nil && n.NetworkUnavailable:
		return Off
	case n != nil && !n.Excluded && !n.Retiring:
		return Serving
	case !left:
		return Leaving
	case n != nil && !n.Excluded:
		return Relieved
	default:
		return Off
	}
}

// Routes is the table of what one node announces by BGP. It is incremental: what a Service changes costs what the Service
// has, whatever the size of the table. It is a value with one owner: its methods may not run at the same time.
//
// A route is there as long as some Service needs it: an aggregate, while one of its addresses is active.
type Routes struct {
	self string

	snapshot *config.Snapshot
	nodes    []Node
	duty     Duty
	own      *Node
	// peers are those that this node has sessions with, by name.
	peers []*config.Peer

	// needs are what each Service contributes; by has the same by prefix, in order.
	needs map[Key][]need
	by    map[netip.Prefix][]need
	// is are the routes as they were last returned, by prefix.
	is      map[netip.Prefix][]PeerRoute
	changed map[netip.Prefix]bool
	// interned has each set of attributes once. What no route has any more is forgotten when there are limit of them.
	interned map[string]*Attributes
	limit    int
}

// need is a route that a Service is announced by, as one advertisement has it.
type need struct {
	key    Key
	prefix netip.Prefix
	ad     *config.BGPAdvertisement
	// endpoints are those of the Service on this node.
	endpoints int
}

func (n need) compare(o need) int {
	return cmp.Or(n.key.Compare(o.key), cmp.Compare(n.ad.Name, o.ad.Name), comparePrefix(n.prefix, o.prefix))
}

// NewRoutes returns an empty table for a node.
func NewRoutes(self string) *Routes {
	return &Routes{
		self: self, needs: map[Key][]need{}, by: map[netip.Prefix][]need{}, is: map[netip.Prefix][]PeerRoute{},
		changed: map[netip.Prefix]bool{}, interned: map[string]*Attributes{},
	}
}

// Configure says under which configuration, among which nodes, and with which duty routes are made from now on. It returns
// whether Set is to be called for all Services again. Nothing of the arguments is to be changed later.
func (r *Routes) Configure(s *config.Snapshot, nodes []Node, duty Duty) (again bool) {
	own := byName(nodes, r.self)
	if own == nil {
		own = r.own // a Node that is deleted leaves as any other
	}
	again = s != r.snapshot || duty != r.duty || !sameFor(own, r.own) || duty == Relieved && !slices.EqualFunc(nodes, r.nodes, sameHeir)
	r.snapshot, r.nodes, r.duty, r.own = s, nodes, duty, own
	if !again {
		return false
	}
	r.peers = r.peers[:0:0]
	for _, p := range s.Peers() {
		if own != nil && p.SelectsNode(own.Labels) {
			r.peers = append(r.peers, p)
		}
	}
	for p := range r.by {
		r.changed[p] = true
	}
	return true
}

// sameFor reports whether a node is the same as far as its own routes depend on it.
func sameFor(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Excluded == b.Excluded && a.NetworkUnavailable == b.NetworkUnavailable && maps.Equal(a.Labels, b.Labels)
}

// sameHeir reports whether a node is the same as far as it could do another's duty.
func sameHeir(a, b Node) bool {
	return a.Name == b.Name && a.healthy() == b.healthy() && a.Excluded == b.Excluded && maps.Equal(a.Labels, b.Labels)
}

// healthy reports whether a node does all that it should.
func (n *Node) healthy() bool {
	alive := n.Presence == Alive || n.Presence == Unknown && n.SpeakerReady
	return alive && n.Ready && !n.Retiring && !n.NetworkUnavailable
}

// Peers returns the peers that this node is to have sessions with, by name. Not to be changed.
func (r *Routes) Peers() []*config.Peer { return r.peers }

// Set says how a Service is now; nil that it is gone or has no address.
func (r *Routes) Set(k Key, svc *Service) {
	var now []need
	if svc != nil {
		now = r.needsOf(svc)
	}
	before := r.needs[k]
	if slices.Equal(before, now) {
		return
	}
	for _, n := range before {
		r.remove(n)
	}
	for _, n := range now {
		r.add(n)
	}
	if r.needs[k] = now; len(now) == 0 {
		delete(r.needs, k)
	}
}

func (r *Routes) remove(n need) {
	r.changed[n.prefix] = true
	all := slices.DeleteFunc(r.by[n.prefix], func(o need) bool { return o.compare(n) == 0 })
	if r.by[n.prefix] = all; len(all) == 0 {
		delete(r.by, n.prefix)
	}
}

func (r *Routes) add(n need) {
	r.changed[n.prefix] = true
	i, _ := slices.BinarySearchFunc(r.by[n.prefix], n, need.compare)
	r.by[n.prefix] = slices.Insert(r.by[n.prefix], i, n)
}

// needsOf returns the routes by which this node is to announce a Service, in order.
func (r *Routes) needsOf(svc *Service) []need {
	if r.own == nil || r.duty == Off {
		return nil
	}
	var out []need
	for _, a := range svc.Addresses {
		pool := r.snapshot.PoolOf(a)
		if pool == nil {
			continue
		}
		for _, ad := range r.snapshot.BGPFor(pool, svc.Labels) {
			if !routable(ad, svc, r.own) || r.duty == Relieved && r.heir(ad, svc) {
				continue
			}
			n := need{key: svc.Key, prefix: ad.Prefix(pool, a), ad: ad}
			if ad.WeightByEndpoints && svc.Local { // else all nodes reach the same endpoints
				n.endpoints = svc.on(r.self)
			}
			if !slices.Contains(out, n) { // two addresses can be in one aggregate
				out = append(out, n)
			}
		}
	}
	slices.SortFunc(out, need.compare)
	return out
}

// routable reports whether a node may announce a Service by an advertisement: kube-proxy there has where to send the
// traffic to.
func routable(ad *config.BGPAdvertisement, svc *Service, n *Node) bool {
	if n.NetworkUnavailable || !ad.SelectsNode(n.Labels) {
		return false
	}
	return usable(svc, n.Name) >= max(1, ad.MinReadyEndpoints)
}

// usable counts the endpoints that traffic which comes in by a node can reach.
func usable(svc *Service, node string) int {
	if svc.Local {
		return svc.on(node)
	}
	return len(svc.Endpoints)
}

// heir reports whether another node announces the Service by the advertisement, and does well.
func (r *Routes) heir(ad *config.BGPAdvertisement, svc *Service) bool {
	return slices.ContainsFunc(r.nodes, func(n Node) bool {
		return n.Name != r.self && n.healthy() && !n.Excluded && routable(ad, svc, &n)
	})
}

// Changed returns the routes that are others than when it was last called, by prefix.
func (r *Routes) Changed() []Route {
	var out []Route
	for _, p := range slices.SortedFunc(maps.Keys(r.changed), comparePrefix) {
		now := r.route(p)
		if slices.Equal(now.Peers, r.is[p]) {
			continue
		}
		if r.is[p] = now.Peers; len(now.Peers) == 0 {
			delete(r.is, p)
		}
		out = append(out, now)
	}
	r.changed = map[netip.Prefix]bool{} // cleared, it would stay as large as ever
	r.sweep()
	return out
}

// Len returns how many routes there are.
func (r *Routes) Len() int { return len(r.is) }

// route joins what is needed of a prefix.
func (r *Routes) route(p netip.Prefix) Route {
	out := Route{Prefix: p}
	for _, peer := range r.peers {
		if !peer.Carries(config.FamilyOf(p.Addr())) {
			continue
		}
		if a, ok := r.attributes(r.by[p], peer.Name); ok {
			out.Peers = append(out.Peers, PeerRoute{Peer: peer.Name, Attributes: r.intern(a)})
		}
	}
	return out
}

// attributes joins what is said of a route to one peer; false if nothing is said to it. Communities add up. Of what there
// can be only one of, the first advertisement by name that has it decides; config tells of such conflicts.
func (r *Routes) attributes(needs []need, peer string) (Attributes, bool) {
	a := Attributes{GracefulShutdown: r.duty == Leaving || r.duty == Relieved}
	var ads []*config.BGPAdvertisement
	counted := map[Key]bool{}
	for _, n := range needs {
		if !n.ad.SelectsPeer(peer) {
			continue
		}
		if !slices.Contains(ads, n.ad) {
			ads = append(ads, n.ad)
		}
		if n.endpoints > 0 && !counted[n.key] {
			counted[n.key] = true
			a.Bandwidth += uint64(n.endpoints) * bandwidthOfEndpoint
		}
	}
	slices.SortFunc(ads, func(a, b *config.BGPAdvertisement) int { return cmp.Compare(a.Name, b.Name) })
	for _, ad := range ads {
		a.Communities = append(a.Communities, ad.Communities...)
		a.LargeCommunities = append(a.LargeCommunities, ad.LargeCommunities...)
		if ad.LocalPref != nil && !a.HasLocalPref {
			a.LocalPref, a.HasLocalPref = *ad.LocalPref, true
		}
		if ad.MED != nil && !a.HasMED {
			a.MED, a.HasMED = *ad.MED, true
		}
		if a.Prepend == 0 {
			a.Prepend = ad.Prepend
		}
	}
	slices.Sort(a.Communities)
	a.Communities = slices.Compact(a.Communities)
	slices.SortFunc(a.LargeCommunities, config.LargeCommunity.Compare)
	a.LargeCommunities = slices.Compact(a.LargeCommunities)
	return a, len(ads) > 0
}

// bandwidthOfEndpoint is what an endpoint counts for, in bytes a second: 1 Gbit/s. Routers compare what nodes say, so only the
// ratios matter.
const bandwidthOfEndpoint = 125_000_000
