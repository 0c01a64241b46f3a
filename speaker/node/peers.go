package node

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/agent"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/gossip"
	"github.com/fairlead-lb/fairlead/speaker/link"
	"github.com/fairlead-lb/fairlead/speaker/responder"
	"github.com/fairlead-lb/fairlead/speaker/status"
)

var errNoKey = errors.New("there is no Secret " + kube.GossipSecret + " with a key of 16, 24 or 32 bytes: is the controller running?")

// disconnected says why this speaker and the others do not talk to each other; nil where they do.
func (s *speaker) disconnected(d *agent.Decided) error {
	if d.Key == nil {
		return errNoKey
	}
	return s.gossip.Observed().Error
}

// heard tells the agent what the speakers have found out among themselves.
func (s *speaker) heard() {
	o := s.gossip.Observed()
	g := agent.Gossip{Failed: o.Error != nil, Peers: map[string]agent.Peer{}, Heals: o.Heals}
	for name, m := range o.Members {
		g.Peers[name] = agent.Peer{Presence: m.Presence, Missed: m.Since, Impaired: m.Report.Impaired, Links: m.Report.Links}
	}
	s.agent.SetGossip(g)
	s.report()
}

// alive counts the other nodes whose speakers are there.
func (s *speaker) alive() (n int) {
	for _, m := range s.gossip.Observed().Members {
		if m.Presence == announce.Alive {
			n++
		}
	}
	return n
}

// peers counts the other nodes by what is known of them.
func (s *speaker) peers() map[string]int {
	out := map[string]int{}
	for _, m := range s.gossip.Observed().Members {
		out[m.Presence.String()]++
	}
	return out
}

// lost are the other nodes that do not answer. A node that has no link to the others says nothing of them.
func (s *speaker) lost(d *agent.Decided) []v1beta1.LostNode {
	o := s.gossip.Observed()
	if d.Isolated || o.Error != nil {
		return nil
	}
	var out []v1beta1.LostNode
	for _, name := range slices.Sorted(maps.Keys(o.Members)) {
		if m := o.Members[name]; m.Silent {
			out = append(out, v1beta1.LostNode{Name: name, Since: metav1.NewMicroTime(m.Since.Truncate(time.Microsecond))})
		}
	}
	return out
}

// asked has another speaker's question answered.
func (s *speaker) asked(q gossip.Question) {
	s.agent.Asked(q.Addr, func(announces, returning bool) { s.gossip.Reply(q, announces, returning) })
}

// sighted tells the agent of somebody who claims an address that is answered for here.
func (s *speaker) sighted(x responder.Sighting) {
	s.agent.Sighted(x.Addr, agent.Host{MAC: x.MAC.String(), Link: x.Link, Before: x.Probing, Seen: time.Now()})
}

// updates is what is to be said of Services.
func (s *speaker) updates(changed []agent.Change) []status.Update {
	out := make([]status.Update, 0, len(changed))
	for i := range changed {
		c := &changed[i]
		out = append(out, status.Update{
			Service: c.Service, Of: c.Of, Announced: c.Announced, Record: c.Record, InUse: c.InUse, Contested: c.Contested, Conflicts: c.Conflicts,
		})
	}
	return out
}

func names(links []link.Link) []string {
	out := []string{}
	for _, l := range links {
		out = append(out, l.Name)
	}
	return out
}

// settle is how long a link may not be served before that makes others do better: sockets are
// opened again a second after they failed.
const settle = 2500 * time.Millisecond

// health knows since when something is wrong.
type health struct {
	mu    sync.Mutex
	since time.Time
}

// impaired reports whether something has been wrong for a while. If it has not been for long, look is called
// when it has been.
func (h *health) impaired(wrong bool, look func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !wrong:
		h.since = time.Time{}
		return false
	case h.since.IsZero():
		h.since = time.Now()
		time.AfterFunc(settle, look)
	}
	return time.Since(h.since) >= settle
}
