package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// A Host uses an address that this node announces, and is not of the cluster, as far as its MAC says.
type Host struct {
	// MAC of the host, and the Link of this node on which it was seen.
	MAC, Link string
	// Before: it was found before the address was announced for the first time.
	Before bool
	// Seen is when, last.
	Seen time.Time
}

// isolated reports whether no link leads to the other nodes: to the segment of this node's address, or on.
func isolated(links []link.Link, self netip.Addr) bool {
	return !slices.ContainsFunc(links, func(l link.Link) bool {
		return l.Default4 && self.Is4() || l.Default6 && self.Is6() ||
			slices.ContainsFunc(l.Subnets, func(p netip.Prefix) bool { return p.Contains(self) })
	})
}

// Sighted says that somebody else claims an address that this node answers for. It does not block.
func (a *Agent) Sighted(addr netip.Addr, h Host) {
	a.post(func(w *world) {
		if node := w.owner(h.MAC); node != "" {
			w.heard(addr, node, h)
			return
		}
		for _, k := range w.sharers[addr] { // who returns probes for what it has announced before
			if h.Before && slices.Contains(w.services[k].inUse, addr) {
				h.Before = false
				w.recovery.insist(addr)
			}
		}
		before, known := w.hosts[addr]
		h.Before = h.Before || before.Before // what one link has found another does not refute
		asked := !w.probes[addr].IsZero()
		if known && before.MAC != h.MAC && !asked && before.Before == h.Before && h.Seen.Sub(before.Seen) < oneOfTwo {
			return
		}
		w.hosts[addr] = h
		if delete(w.probes, addr); !known || asked || before.MAC != h.MAC || before.Before != h.Before {
			w.reconsider(addr)
		}
	})
}

// heard notes that a frame with the MAC of another node claims an address of this one.
func (w *world) heard(a netip.Addr, node string, h Host) {
	if len(w.sharers[a]) > 0 {
		w.recovery.heard(a, node, h.Before, h.Seen)
	}
}

// Asked is another speaker's question whether this one announces an address; reply answers it. It does not block.
func (a *Agent) Asked(addr netip.Addr, reply func(announces, returning bool)) {
	a.post(func(w *world) { reply(w.announces(addr), w.recovery.doubted[addr]) })
}

// Answered is another speaker's answer to what Options.Ask has asked. It does not block.
func (a *Agent) Answered(addr netip.Addr, node string, announces, returning bool) {
	a.post(func(w *world) {
		if announces {
			a.Duplicate(node)
		}
		if w.recovery.answered(addr, node, announces, returning, time.Now()) {
			w.reconsider(addr)
		}
	})
}

// reconsider has an address decided about again.
func (w *world) reconsider(a netip.Addr) {
	for _, k := range w.sharers[a] {
		w.touch(k, a)
	}
}

// owner returns the other node that a MAC belongs to; empty if none.
func (w *world) owner(mac string) string {
	for node, links := range w.others {
		if node != w.self && slices.ContainsFunc(links, func(l announce.Link) bool { return l.MAC.String() == mac }) {
			return node
		}
	}
	return ""
}

// refuse says of an address that this node would announce that a conflicting host had it before.
func (w *world) refuse(a netip.Addr, of []announce.Announcement) []announce.Announcement {
	h, known := w.hosts[a]
	if !known || !h.Before {
		return of
	}
	for i := range of {
		if of[i].Node == w.self {
			of[i].Reason, of[i].Message = announce.AddressConflict, "it is used by "+h.MAC+", seen on "+h.Link+" before it was announced"
		}
	}
	return of
}

// probing is refuse undone while it is found out whether the host is still there.
func (w *world) probing(a netip.Addr, of []announce.Announcement) []announce.Announcement {
	if w.probes[a].IsZero() {
		return of
	}
	out := slices.Clone(of)
	for i := range out {
		if out[i].Reason == announce.AddressConflict {
			out[i].Reason, out[i].Fresh = announce.Announced, true
		}
	}
	return out
}

// until is how long a host is remembered if it is not seen again.
func (w *world) until(a netip.Addr) time.Time {
	if at := w.probes[a]; !at.IsZero() {
		return at.Add(probeFor)
	}
	return w.hosts[a].Seen.Add(forgetHost)
}

// forget forgets what was seen long ago, and what is not announced any more.
func (w *world) forget(now time.Time) {
	for a, h := range w.hosts {
		switch {
		case len(w.sharers[a]) > 0 && w.until(a).After(now):
			continue
		case len(w.sharers[a]) > 0 && h.Before && w.probes[a].IsZero():
			w.probes[a] = now
		default:
			delete(w.hosts, a)
			delete(w.probes, a)
		}
		w.reconsider(a)
	}
	for _, a := range w.recovery.expire(w.gossip.Peers, now) {
		w.reconsider(a)
	}
}

// recollect returns when there is next something to forget; the zero time if never.
func (w *world) recollect() (next time.Time) {
	next = w.recovery.next()
	for a := range w.hosts {
		next = earliest(next, w.until(a))
	}
	return next
}

// conflicts returns which of a Service's addresses other hosts use: what this node has found, and what others report of
// addresses that they announce.
func (w *world) conflicts(k announce.Key, of []announce.Announcement) []kube.Conflict {
	var out []kube.Conflict
	for _, x := range of {
		if h, known := w.hosts[x.Address]; known {
			out = append(out, kube.Conflict{
				Addr: x.Address, Namespace: k.Namespace, Service: k.Name, MAC: h.MAC, Node: w.self, Link: h.Link, Before: h.Before,
			})
		}
		for _, c := range w.reported[x.Node] {
			if x.Node != w.self && c.Addr == x.Address && c.Namespace == k.Namespace && c.Service == k.Name {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, compareConflicts)
	return out
}

func compareConflicts(a, b kube.Conflict) int {
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Node, b.Node))
}

// own returns the conflicts that this node has found, sorted.
func (w *world) own() []kube.Conflict {
	var out []kube.Conflict
	for _, a := range slices.SortedFunc(maps.Keys(w.hosts), netip.Addr.Compare) {
		if keys := w.sharers[a]; len(keys) > 0 { // the first of those who share it stands for all
			h := w.hosts[a]
			out = append(out, kube.Conflict{
				Addr: a, Namespace: keys[0].Namespace, Service: keys[0].Name, MAC: h.MAC, Node: w.self, Link: h.Link, Before: h.Before,
			})
		}
	}
	return out
}

// report notes which conflicts another speaker reports.
func (w *world) report(node string, all []kube.Conflict) {
	before := w.reported[node]
	if slices.Equal(before, all) {
		return
	}
	if w.reported[node] = all; len(all) == 0 {
		delete(w.reported, node)
	}
	for _, c := range slices.Concat(before, all) {
		w.reconsider(c.Addr)
	}
}
