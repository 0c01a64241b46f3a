package gossip

import (
	"maps"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A Member is what is known of another node.
type Member struct {
	Presence announce.Presence
	// Silent: it is Gone, and its kernel does not answer. Since is when it was missed.
	Silent bool
	Since  time.Time
	// Report is what its speaker says of itself.
	Report Report
}

// equal reports whether two say the same.
func (m Member) equal(o Member) bool {
	return m.Presence == o.Presence && m.Silent == o.Silent && m.Report.equal(o.Report)
}

// deaf is how long nobody may be heard whose kernel answers until that is taken for our own trouble.
const deaf = 15 * time.Second

// misses is how many checks in a row a node may leave unanswered that answered before.
const misses = 2

// peer is another node.
type peer struct {
	Member
	// missing: memberlist does not count it among the living, since then.
	missing bool
	since   time.Time
	missed  int
	// answered: its kernel has, since it is missing.
	answered bool
}

// roster knows who is there. It is a value that one goroutine owns; it does no I/O.
type roster struct {
	// grace is how long a speaker may be away.
	grace time.Duration
	peers map[string]*peer
	// patient is until when nobody's silence means anything.
	patient time.Time
	// heals counts the nodes that were gone and came back.
	heals uint64
}

// expect sets which nodes there should be. One that has not been heard of counts as away until
// its kernel was asked: a speaker that has just started takes nothing from anybody.
func (r *roster) expect(names []string, now time.Time) {
	for n := range r.peers {
		if !slices.Contains(names, n) {
			delete(r.peers, n)
		}
	}
	for _, n := range names {
		if r.peers[n] == nil {
			r.peers[n] = &peer{Member: Member{Presence: announce.Away}, missing: true, since: now, missed: misses - 1}
		}
	}
}

// alone reports whether nobody is heard. Then nothing follows from the silence of a speaker: it may be us.
func (r *roster) alone() bool {
	for _, p := range r.peers {
		if !p.missing {
			return false
		}
	}
	return true
}

// heard notes who is alive, and what they say. When somebody is heard after nobody was, the others have as much time to be heard as if
// they had just been missed.
func (r *roster) heard(alive map[string]Report, now time.Time) {
	alone := r.alone()
	defer func() {
		if alone && !r.alone() {
			r.excuse(now)
		}
	}()
	for name, p := range r.peers {
		report, ok := alive[name]
		switch {
		case ok:
			if p.Presence == announce.Gone {
				r.heals++
			}
			*p = peer{Member: Member{Presence: announce.Alive, Report: report}}
		case !p.missing:
			p.missing, p.since, p.missed, p.answered = true, now, 0, false
		}
	}
}

// checked notes whether the kernel of a missing node answered. A node that is gone stays so until its speaker
// is heard again: a machine that starts has no rules for our traffic yet.
func (r *roster) checked(name string, answered bool, now time.Time) {
	p := r.peers[name]
	if p == nil || !p.missing || p.Presence == announce.Gone {
		return
	}
	p.answered = p.answered || answered
	switch {
	case answered && (now.Sub(p.since) < r.grace || r.alone()):
		p.Presence, p.missed = announce.Away, 0
	case answered:
		p.Presence = announce.Gone
	case now.Before(r.patient):
	default:
		if p.missed++; p.Presence == announce.Alive || p.missed >= misses {
			p.Presence, p.Silent, p.Since = announce.Gone, true, p.since
		}
	}
}

// resolving is how long a kernel may need to ask again by ARP or NDP for a neighbour that it has asked for in vain: it
// does so once a second.
const resolving = 2500 * time.Millisecond

// restart begins again with those who were missed while nothing could be found out of them.
func (r *roster) restart(now time.Time) {
	r.patient = now.Add(resolving)
	r.excuse(now)
}

// excuse begins again with those who are missing.
func (r *roster) excuse(now time.Time) {
	for _, p := range r.peers {
		if p.missing && p.Presence != announce.Gone {
			p.Presence, p.since, p.missed = announce.Away, now, 0
		}
	}
}

// unheard reports whether nobody is heard, though somebody's kernel answers: then it is us.
func (r *roster) unheard(now time.Time) bool {
	away := false
	for _, p := range r.peers {
		if !p.missing {
			return false
		}
		away = away || p.answered && now.Sub(p.since) > deaf
	}
	return away
}

// doubted returns the nodes whose kernels are to be asked, sorted.
func (r *roster) doubted() []string {
	return r.pick(func(p *peer) bool { return p.missing && p.Presence != announce.Gone })
}

// missing returns the nodes that are not among the living, sorted.
func (r *roster) missing() []string { return r.pick(func(p *peer) bool { return p.missing }) }

func (r *roster) pick(ok func(*peer) bool) []string {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(r.peers)) {
		if ok(r.peers[n]) {
			out = append(out, n)
		}
	}
	return out
}

// members returns what is known.
func (r *roster) members() map[string]Member {
	out := make(map[string]Member, len(r.peers))
	for n, p := range r.peers {
		out[n] = p.Member
	}
	return out
}
