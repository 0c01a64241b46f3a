package node

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/internal/metrics"
	"github.com/fairlead-lb/fairlead/speaker/agent"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/responder"
)

// numbers are those of this speaker now.
func (s *speaker) numbers() metrics.Speaker {
	out := metrics.Speaker{
		Node: s.Node, Sockets: map[string]int{}, Failed: map[string]int{}, Peers: s.peers(),
		Rejected: s.gossip.Rejected(), Duplicates: s.duplicates.Load(), ARP: packets(&s.arp.Stats), NDP: packets(&s.ndp.Stats),
	}
	for _, r := range []*responder.Responder{s.arp, s.ndp} {
		o, name := r.Observed(), r.Protocol().Name()
		out.Announced = append(out.Announced, o.Answering...)
		out.Sockets[name], out.Failed[name] = o.Sockets, len(o.Errors)
	}
	if arp := s.answering(); arp != nil && arp.IPVS {
		out.StrictARP = new(len(arp.Lenient) == 0)
	}
	if s.flows != nil {
		out.Kept = &metrics.Kept{Addresses: s.flows.Observed().Addresses, Packets: s.flows.Passed()}
	}
	d := s.last.Load()
	if d == nil {
		return out
	}
	out.Connected = s.disconnected(d) == nil
	for _, c := range d.Conflicts {
		out.Conflicts = append(out.Conflicts, metrics.Conflict{Addr: c.Addr, MAC: c.MAC})
	}
	for i := range d.Tasks {
		switch d.Tasks[i].Mode {
		case announce.Standin:
			out.Standins++
		case announce.Yielding:
			out.Yielding++
		case announce.Own, announce.Fresh:
		}
	}
	return out
}

func packets(s *responder.Stats) metrics.Packets {
	return metrics.Packets{
		Requests: s.Requests.Load(), Replies: s.Replies.Load(), Claims: s.Claims.Load(), Probes: s.Probes.Load(),
		Conflicts: s.Conflicts.Load(), Errors: s.Errors.Load(),
	}
}

// gains are the addresses that are to be answered for and are not yet.
type gains struct {
	report  func(cause string, took time.Duration)
	mu      sync.Mutex
	waiting map[netip.Addr]agent.Gain
}

// expect notes the gains of a decision, and forgets those that it takes back.
func (g *gains) expect(gained []agent.Gain, tasks []announce.Task) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for a := range g.waiting {
		i, ok := slices.BinarySearchFunc(tasks, a, func(t announce.Task, a netip.Addr) int { return t.Addr.Compare(a) })
		if !ok || !tasks[i].Mode.Announced() {
			delete(g.waiting, a)
		}
	}
	if g.waiting == nil {
		g.waiting = map[netip.Addr]agent.Gain{}
	}
	for _, x := range gained {
		g.waiting[x.Addr] = x
	}
}

// answered reports how long it took for those that are answered for now, which are sorted.
func (g *gains) answered(answering []netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for a, x := range g.waiting {
		if _, ok := slices.BinarySearchFunc(answering, a, netip.Addr.Compare); ok {
			g.report(string(x.Cause), now.Sub(x.Since))
			delete(g.waiting, a)
		}
	}
	if len(g.waiting) == 0 {
		g.waiting = nil // it would stay as large as ever
	}
}
