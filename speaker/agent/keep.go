package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// keeping is which nodes may have connections of which address, and to whom this node passes packets on of those that it does not
// know. One goroutine owns it.
type keeping struct {
	// long is for how long a node that has handed over an address may still have connections of it; 0: nothing is kept.
	long time.Duration
	// ping: echo requests for the addresses that this node carries are answered.
	ping       bool
	holders    map[netip.Addr]*holders
	to         map[netip.Addr]pass
	own        map[netip.Addr]bool
	aggregates map[netip.Prefix]bool
	// What settle last made of to: all of it, and when the first of it ends, which is zero if nothing does. It is nil when that has changed.
	made *announce.Passing
	ends time.Time
}

// holders are the nodes that may have connections of an address.
type holders struct {
	// carriers are those by which traffic for it comes in, sorted, and former says until when those count that were.
	carriers []string
	former   map[string]time.Time
}

// pass is one among so many holders.
type pass struct {
	announce.Pass
	of int
}

// decide notes what was decided about an address.
func (k *keeping) decide(w *world, nodes []announce.Node, a netip.Addr, of []announce.Announcement, sharers []*announce.Service, now time.Time) {
	switch {
	case k.long == 0 && !k.ping:
		return
	case len(sharers) == 0:
		delete(k.holders, a)
		k.drop(a)
		note(k, k.own, a, false)
		return
	}
	h := k.holders[a]
	if h == nil {
		h = &holders{former: map[string]time.Time{}}
		if r := sharers[0].Record[a]; len(r) > 0 && !of[0].Fresh {
			h.carriers = r[:1]
		}
		k.holders[a] = h
	}
	h.become(announce.Carriers(w.config(), nodes, of, sharers), now.Add(k.long))
	// With kube-proxy in mode ipvs the kernel has all addresses, and answers; whether conntrack has its connections depends on a sysctl.
	note(k, k.own, a, !w.ipvs && slices.Contains(h.carriers, w.self))
	var p pass
	if k.long > 0 && !w.ipvs {
		p = h.pass(w, nodes, a, now)
	}
	switch {
	case !p.To.IsValid():
		k.drop(a)
	case k.to[a] != p:
		k.to[a], k.made = p, nil
	}
}

func (k *keeping) drop(a netip.Addr) {
	if _, had := k.to[a]; had {
		delete(k.to, a)
		k.made = nil
	}
}

// announce notes which aggregates this node announces.
func (k *keeping) announce(routes []announce.Route) {
	for _, r := range routes {
		if !r.Prefix.IsSingleIP() {
			note(k, k.aggregates, r.Prefix, len(r.Peers) > 0)
		}
	}
}

// note notes what is in a set.
func note[T comparable](k *keeping, set map[T]bool, what T, in bool) {
	if set[what] == in {
		return
	}
	if set[what], k.made = in, nil; !in {
		delete(set, what)
	}
}

// become notes by which nodes traffic comes in now. Those that no longer count may have connections until then.
func (h *holders) become(carriers []string, until time.Time) {
	for _, n := range h.carriers {
		if !slices.Contains(carriers, n) {
			h.former[n] = until
		}
	}
	for _, n := range carriers {
		delete(h.former, n)
	}
	h.carriers = carriers
}

// pass says to whom this node passes packets on; the zero one if to nobody.
func (h *holders) pass(w *world, nodes []announce.Node, a netip.Addr, now time.Time) pass {
	// Who was gone may have restarted: it has no connections, and would not pass packets on to the others.
	maps.DeleteFunc(h.former, func(n string, until time.Time) bool { return !until.After(now) || lost(nodes, n) })
	var until time.Time
	for _, t := range h.former {
		if t.After(until) {
			until = t
		}
	}
	if own, was := h.former[w.self]; was {
		until = own
	} else if len(h.carriers) > 1 {
		until = time.Time{}
	}
	var ring []announce.Holder
	for _, n := range slices.AppendSeq(slices.Clone(h.carriers), maps.Keys(h.former)) {
		if at := w.neighbour(n, config.FamilyOf(a)); n == w.self || at.IsValid() && !lost(nodes, n) {
			ring = append(ring, announce.Holder{Node: n, Addr: at})
		}
	}
	next, ok := announce.After(ring, w.self)
	if !ok || !slices.ContainsFunc(ring, func(x announce.Holder) bool { return x.Node == w.self }) {
		return pass{}
	}
	return pass{announce.Pass{Addr: a, To: next.Addr, Until: until}, len(ring)}
}

func lost(nodes []announce.Node, name string) bool {
	n := byName(nodes, name)
	return n == nil || n.Presence == announce.Gone
}

// neighbour returns an address of a node that no router is needed to reach from this one; the zero one if there is none.
func (w *world) neighbour(node string, f config.Family) netip.Addr {
	n := w.nodes[node]
	for _, at := range n.Addresses {
		for i := range w.links {
			if config.FamilyOf(at) == f && slices.ContainsFunc(w.links[i].Subnets, func(p netip.Prefix) bool { return p.Contains(at) }) {
				return at
			}
		}
	}
	return netip.Addr{}
}

// settle works out what there is, unless nothing has changed: there may be ten thousand addresses, and seldom does one move.
func (k *keeping) settle() {
	if k.made != nil {
		return
	}
	k.made, k.ends = &announce.Passing{}, time.Time{}
	for _, p := range k.to {
		k.made.Passes = append(k.made.Passes, p.Pass)
		k.made.Hops = max(k.made.Hops, p.of-1)
		k.ends = earliest(k.ends, p.Until)
	}
	slices.SortFunc(k.made.Passes, announce.Pass.Compare)
	k.made.Own = slices.SortedFunc(maps.Keys(k.own), netip.Addr.Compare)
	k.made.Aggregates = slices.SortedFunc(maps.Keys(k.aggregates), netip.Prefix.Compare)
}

// expire ends what is over, and reports whether anything was.
func (k *keeping) expire(now time.Time) bool {
	k.settle()
	if k.ends.IsZero() || k.ends.After(now) {
		return false
	}
	for a, p := range k.to {
		if !p.Until.IsZero() && !p.Until.After(now) {
			k.drop(a)
		}
	}
	return true
}

// lapse returns when there is next something to expire; the zero time if never.
func (k *keeping) lapse() time.Time {
	k.settle()
	return k.ends
}

// passing returns what this node does with packets that are not for kube-proxy; nil if that is nothing.
func (k *keeping) passing() *announce.Passing {
	if k.long == 0 && !k.ping {
		return nil
	}
	k.settle()
	return k.made
}
