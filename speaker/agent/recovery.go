package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// recovery decides what a node does about addresses that another node is heard to announce as well: after a partition, or because the two
// have read different things. It is a value; one goroutine owns it, and it does no I/O.
//
// What is heard on the wire is a hint, which anybody on the segment can forge. It leads to a question to the other speaker, by
// the authenticated gossip, and only its answer to anything else.
//
// A node that was cut off from half of all nodes or more is Returning: others have taken over what it announced, and have
// recorded that, but its watches may need a while to tell. It probes for its addresses before it claims them, and leaves to
// another what that announces with certainty. Of two that are both returning the one with the first name goes before. Of two that are
// both certain, and go on for long, too.
type recovery struct {
	self  string
	state certainty
	// until is when a node that is not certain becomes so.
	until time.Time
	// noting: the addresses that this is about are still to be noted.
	noting bool
	// doubted are the addresses that a returning node announced.
	doubted map[netip.Addr]bool
	// hints are addresses that another node seems to announce.
	hints map[netip.Addr]hint
	// insists counts, of addresses, how often this node was to announce on that has fallen silent as it heard another.
	insists map[netip.Addr]uint64
	// duplicated says of addresses since when another node announces them as well.
	duplicated map[netip.Addr]time.Time
	// elsewhere says of addresses who announces them, though something else is recorded: another node that says so, or this
	// node in place of one that is gone.
	elsewhere map[netip.Addr]sight
	// again grows when all that is announced is to be announced again.
	again uint64
	// isolated: no link leads to the other nodes, though one did (linked).
	isolated, linked bool
}

// certainty is whether a node may trust what it has read.
type certainty int

const (
	certain certainty = iota
	// returning: it was cut off from more than half of all nodes.
	returning
	// tied: from exactly half of them. The others may be in the same state.
	tied
)

// hint is that another node seems to announce an address.
type hint struct {
	node string
	// since when it is asked, and next when it is asked again.
	since, next time.Time
	// probing: this node was probing for the address, and does not announce it until it knows better.
	probing bool
	// confirmed: it does, and this one waits for it to give way.
	confirmed bool
}

// sight is who announces an address, and since when that is known. Another node is asked again and again whether it still does, next at
// some time.
type sight struct {
	node     string
	at, next time.Time
}

// question is to another speaker: whether it announces an address.
type question struct {
	node string
	addr netip.Addr
}

func newRecovery(self string) recovery {
	return recovery{
		self: self, doubted: map[netip.Addr]bool{}, hints: map[netip.Addr]hint{}, insists: map[netip.Addr]uint64{},
		duplicated: map[netip.Addr]time.Time{}, elsewhere: map[netip.Addr]sight{},
	}
}

// isolate notes whether a link leads to the other nodes. A node whose address never was on any link is reached in another way, and not
// cut off.
func (r *recovery) isolate(is bool, now time.Time) {
	was := r.isolated
	r.linked = r.linked || !is
	if r.isolated = r.linked && is; was && !r.isolated {
		r.returns(returning, now)
	}
}

// returns notes that this node was cut off.
func (r *recovery) returns(s certainty, now time.Time) {
	r.state, r.until, r.noting = s, now.Add(insist), true
	maps.DeleteFunc(r.elsewhere, func(_ netip.Addr, s sight) bool { return s.node == r.self })
}

// reunite notes that nodes are back that were gone: before says how many were until now, of all, this one included. Who could see more
// than half of them meanwhile announces again what it announces; who could see less has perhaps been replaced. Where it was half,
// so may be the others.
func (r *recovery) reunite(gone, all int, now time.Time) {
	if r.state == returning {
		return // the first to come back has said how many were gone
	}
	switch cmp.Compare(2*gone, all) {
	case 1:
		r.returns(returning, now)
	case 0:
		r.returns(tied, now)
		r.again++
	default:
		r.again++
	}
}

// note notes which addresses a node that has just returned announces; others may do so by now.
func (r *recovery) note(all tasks) {
	if !r.noting {
		return
	}
	r.noting = false
	clear(r.doubted)
	for _, t := range all {
		if t.Mode.Announced() {
			r.doubted[t.Addr] = true
		}
	}
}

// heard notes that another node seems to announce an address of this one.
func (r *recovery) heard(a netip.Addr, node string, probing bool, now time.Time) {
	h, known := r.hints[a]
	if !known || h.node != node {
		h = hint{node: node, since: now, next: now, probing: h.probing}
	}
	h.probing = h.probing || probing
	r.hints[a] = h
}

// questions returns what is to be asked now, in order.
func (r *recovery) questions(now time.Time) []question {
	var out []question
	for a, h := range r.hints {
		if !h.next.After(now) {
			h.next = now.Add(askAgain)
			r.hints[a] = h
			out = append(out, question{h.node, a})
		}
	}
	for a, s := range r.elsewhere {
		if s.node != r.self && !s.next.After(now) {
			s.next = now.Add(hintFor)
			r.elsewhere[a] = s
			out = append(out, question{s.node, a})
		}
	}
	slices.SortFunc(out, func(a, b question) int { return a.addr.Compare(b.addr) })
	return out
}

// answered takes another speaker's answer: whether it announces an address, and is returning itself. It reports whether the address is left to it, or
// can be announced after all.
func (r *recovery) answered(a netip.Addr, node string, announces, theyReturn bool, now time.Time) (news bool) {
	if r.elsewhere[a].node == node && !announces { // it has left it to somebody itself, perhaps to this one
		delete(r.elsewhere, a)
		news = true
	}
	h, asked := r.hints[a]
	if !asked || h.node != node {
		return news
	}
	if !announces {
		return r.refute(a, h) || news
	}
	first := r.self < node
	switch {
	case r.elsewhere[a].node == r.self && r.state != tied: // it took over from one that was gone
		return r.stay(a, h)
	case r.doubted[a] && !theyReturn, r.doubted[a] && theyReturn && !first:
		return r.leave(a, node, now)
	case r.doubted[a], theyReturn:
		return r.stay(a, h)
	}
	since, known := r.duplicated[a]
	if !known {
		since = now
		r.duplicated[a] = now
	}
	if !first && now.Sub(since) >= grace {
		return r.leave(a, node, now)
	}
	if h.confirmed = h.probing; !h.confirmed { // else asked until one of the two gives way
		delete(r.hints, a)
	} else {
		r.hints[a] = h
	}
	return false
}

// refute notes that a hint was false.
func (r *recovery) refute(a netip.Addr, h hint) (news bool) {
	delete(r.duplicated, a)
	return r.stay(a, h)
}

// insist has this node announce an address on, though its responder has fallen silent, as it was probing.
func (r *recovery) insist(a netip.Addr) {
	delete(r.doubted, a)
	r.insists[a]++
}

// stay has this node announce an address, whatever another does.
func (r *recovery) stay(a netip.Addr, h hint) (news bool) {
	delete(r.hints, a)
	delete(r.doubted, a)
	if h.probing {
		r.insist(a)
	}
	return h.probing
}

// leave leaves an address to another node.
func (r *recovery) leave(a netip.Addr, node string, now time.Time) (news bool) {
	delete(r.hints, a)
	delete(r.doubted, a)
	delete(r.insists, a)
	delete(r.duplicated, a)
	r.elsewhere[a] = sight{node, now, now.Add(hintFor)}
	return true
}

// expire takes the consequences of time, and returns the addresses to decide about again, in order. Peers say who is gone.
func (r *recovery) expire(peers map[string]Peer, now time.Time) []netip.Addr {
	news := map[netip.Addr]bool{}
	if r.state != certain && !r.until.After(now) {
		r.state = certain
		for a := range r.doubted {
			news[a] = true
		}
		clear(r.doubted)
	}
	for a, h := range r.hints {
		// One who does not answer may be there all the same while this node returns: they have to find each other first.
		if waits := r.doubted[a] || h.confirmed && peers[h.node].Presence == announce.Alive; !waits && now.Sub(h.since) >= hintFor && r.stay(a, h) {
			news[a] = true
		}
	}
	maps.DeleteFunc(r.duplicated, func(_ netip.Addr, since time.Time) bool { return now.Sub(since) >= forgetDuplicate })
	for _, a := range r.reclaim(peers, now) {
		news[a] = true
	}
	return slices.SortedFunc(maps.Keys(news), netip.Addr.Compare)
}

// reclaim returns the addresses that are left to another node no more: it is gone, or was left them for long.
func (r *recovery) reclaim(peers map[string]Peer, now time.Time) (out []netip.Addr) {
	for a, s := range r.elsewhere {
		late := now.Sub(s.at) >= leaveFor
		if s.node == r.self || !late && peers[s.node].Presence != announce.Gone {
			continue
		}
		if delete(r.elsewhere, a); late { // it may announce it still: this one asks
			r.doubted[a] = true
			if r.state == certain {
				r.state = returning
			}
			r.until = now.Add(insist)
		}
		out = append(out, a)
	}
	return out
}

// next returns when there is next something to ask or to expire; the zero time if never.
func (r *recovery) next() (next time.Time) {
	if r.state != certain {
		next = r.until
	}
	for a, h := range r.hints {
		next = earliest(next, h.next)
		if !r.doubted[a] && !h.confirmed {
			next = earliest(next, h.since.Add(hintFor))
		}
	}
	for _, s := range r.elsewhere {
		if s.node != r.self {
			next = earliest(next, earliest(s.next, s.at.Add(leaveFor)))
		}
	}
	return next
}

// mode returns how an address is answered for that is to be in some mode.
func (r *recovery) mode(a netip.Addr, m announce.Mode) announce.Mode {
	switch {
	case m == announce.Own && r.doubted[a]:
		return announce.Fresh
	case m == announce.Fresh && r.insists[a] > 0 && !r.doubted[a]:
		return announce.Own
	default:
		return m
	}
}

// forget forgets what is known of an address that this node does not announce any more, or that something else is recorded of.
func (r *recovery) forget(a netip.Addr) {
	delete(r.hints, a)
	delete(r.insists, a)
	delete(r.doubted, a) // should it announce it again, that is because another is gone
}

// gained notes that this node announces an address in place of one that is gone, until something else is recorded than was: should
// the other return before that is written, nothing moves back.
func (r *recovery) gained(a netip.Addr, now time.Time) { r.elsewhere[a] = sight{node: r.self, at: now} }

// recorded returns who announces an address and who would next, as far as what is recorded has not been found to be outdated.
func (r *recovery) recorded(a netip.Addr, record []string) []string {
	s, known := r.elsewhere[a]
	if !known {
		return record
	}
	rest := slices.DeleteFunc(slices.Clone(record), func(n string) bool { return n == s.node })
	return append([]string{s.node}, rest...)
}
