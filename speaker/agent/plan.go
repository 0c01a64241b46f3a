package agent

import (
	"iter"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// plan is what has been decided. One goroutine owns it.
type plan struct {
	self string
	// of each address.
	of map[netip.Addr][]announce.Announcement
	// tasks of this node, and what work last made of them, under what was known of partitions (adjusted) or not. It is made again
	// when they have changed.
	tasks    tasks
	worked   []announce.Task
	adjusted bool
	changed  bool
	// yields says until when a former task is done on, as another node has it now.
	yields map[netip.Addr]time.Time

	routing routing
	keeping keeping
	// routes are those that the last decision has changed, and gains are the addresses that this node is to announce since then.
	routes []announce.Route
	gains  []Gain
}

func newPlan(self string, drain, keep time.Duration, ping bool) *plan {
	return &plan{
		keeping: keeping{
			long: keep, ping: ping, holders: map[netip.Addr]*holders{}, to: map[netip.Addr]pass{}, own: map[netip.Addr]bool{}, aggregates: map[netip.Prefix]bool{},
		},
		routing: routing{table: announce.NewRoutes(self), drain: drain},
		self:    self, of: map[netip.Addr][]announce.Announcement{}, yields: map[netip.Addr]time.Time{},
	}
}

// decide decides about what has changed in the world, and returns the Services of which
// something else holds now than before, sorted.
func (p *plan) decide(w *world, nodes []announce.Node, now time.Time) []announce.Key {
	p.gains = nil
	due := p.due(w)
	changed := make(map[announce.Key]bool, len(due))
	decider := announce.NewDecider(w.config(), nodes, len(due))
	var sharers []*announce.Service
	for _, a := range due {
		sharers = sharers[:0]
		for _, k := range w.sharers[a] {
			sharers = append(sharers, w.service(k))
		}
		before, after := p.of[a], []announce.Announcement(nil)
		if len(sharers) > 0 {
			after = w.refuse(a, decider.At(a, sharers))
		}
		p.keeping.decide(w, nodes, a, after, sharers, now)
		if slices.EqualFunc(before, after, announce.Announcement.Same) && !w.all && w.hosts[a] == (Host{}) {
			continue
		}
		for _, all := range [][]announce.Announcement{before, after} {
			for i := range all {
				changed[all[i].Service] = true
			}
		}
		if p.of[a] = after; after == nil {
			delete(p.of, a)
		}
		had := p.announces(a)
		p.assign(a, w.probing(a, after), nodes, now)
		switch has := p.announces(a); {
		case !has:
			w.recovery.forget(a)
		case !had:
			p.gained(w, a, now)
		}
	}
	for k := range w.touched {
		changed[k] = true
	}
	p.routes = p.routing.decide(w, nodes, now)
	p.keeping.announce(p.routes)
	w.settled()
	return slices.SortedFunc(maps.Keys(changed), announce.Key.Compare)
}

// gained notes that this node is to announce an address that it did not announce.
func (p *plan) gained(w *world, a netip.Addr, now time.Time) {
	p.gains = append(p.gains, w.gainOf(a, p.of[a], now))
	if w.replaces(a, p.of[a]) { // or was to replace it before anybody announced the address
		w.recovery.gained(a, now)
	}
}

// replaces reports whether this node announces an address in place of one that is gone.
func (w *world) replaces(a netip.Addr, of []announce.Announcement) bool {
	s := w.services[of[0].Service]
	r := s.record()[a]
	return len(r) > 0 && r[0] != w.self && w.gossip.Peers[r[0]].Presence == announce.Gone
}

// due returns the addresses to decide about.
func (p *plan) due(w *world) []netip.Addr {
	if w.all {
		due := make(map[netip.Addr]bool, len(w.sharers)+len(w.due))
		for _, all := range []iter.Seq[netip.Addr]{maps.Keys(w.due), maps.Keys(w.sharers), maps.Keys(p.of)} {
			for a := range all {
				due[a] = true
			}
		}
		w.due = due
	}
	return slices.SortedFunc(maps.Keys(w.due), netip.Addr.Compare)
}

// assign notes what this node has to do about an address. What it has to give up because another node
// announces it, it goes on answering for.
func (p *plan) assign(a netip.Addr, of []announce.Announcement, nodes []announce.Node, now time.Time) {
	before, had := p.tasks.of(a)
	t, has := announce.TaskOf(of, p.self, nodes)
	elsewhere := slices.ContainsFunc(of, func(x announce.Announcement) bool { return x.Node != "" && x.Node != p.self })
	switch {
	case has:
		p.put(t)
		delete(p.yields, a)
	case had && elsewhere && before.Mode.Announced():
		before.Mode = announce.Yielding
		p.put(before)
		p.yields[a] = now.Add(yieldFor)
	case had && elsewhere && before.Mode == announce.Yielding:
	default:
		p.drop(a)
	}
}

// put notes what is to be done about an address.
func (p *plan) put(t announce.Task) { p.changed = p.tasks.put(t) || p.changed }

// drop ends what is to be done about an address.
func (p *plan) drop(a netip.Addr) {
	p.changed = p.tasks.drop(a) || p.changed
	delete(p.yields, a)
}

// announces reports whether this node announces an address.
func (p *plan) announces(a netip.Addr) bool {
	t, ok := p.tasks.of(a)
	return ok && t.Mode.Announced()
}

// expire ends what was yielded long enough, and reports whether there was anything.
func (p *plan) expire(now time.Time) bool {
	n := len(p.yields)
	for a, until := range p.yields {
		if !until.After(now) {
			p.drop(a)
		}
	}
	kept := p.keeping.expire(now)
	return p.routing.expire(now) || kept || len(p.yields) < n
}

// lapse returns when there is next something to expire; the zero time if never.
func (p *plan) lapse() (next time.Time) {
	next = earliest(p.routing.lapse(), p.keeping.lapse())
	for _, until := range p.yields {
		next = earliest(next, until)
	}
	return next
}

// change returns what holds of a Service now.
func (p *plan) change(w *world, k announce.Key) Change {
	s := w.services[k]
	c := Change{Service: k, Announced: w.announced[k], Record: s.record(), InUse: s.inUse, Contested: s.contested}
	for _, a := range s.shown {
		for i, x := range p.of[a] {
			switch {
			case x.Service != k:
			case c.Of == nil: // most have one, which need not be copied
				c.Of = p.of[a][i : i+1 : i+1]
			default:
				c.Of = append(c.Of, x)
			}
		}
	}
	c.Conflicts = w.conflicts(k, c.Of)
	return c
}

// work returns the tasks of this node, by address.
func (p *plan) work(r *recovery) []announce.Task {
	adjusted := len(r.doubted)+len(r.insists) > 0
	if !p.changed && !adjusted && !p.adjusted {
		return p.worked
	}
	p.worked, p.adjusted, p.changed = slices.Clone(p.tasks), adjusted, false
	for i := range p.worked {
		t := &p.worked[i]
		t.Mode, t.Insists = r.mode(t.Addr, t.Mode), r.insists[t.Addr]
	}
	return p.worked
}

// tasks are by address, one for each.
type tasks []announce.Task

func (t *tasks) find(a netip.Addr) (int, bool) {
	return slices.BinarySearchFunc(*t, a, func(x announce.Task, a netip.Addr) int { return x.Addr.Compare(a) })
}

// of returns the task of an address.
func (t *tasks) of(a netip.Addr) (announce.Task, bool) {
	i, ok := t.find(a)
	if !ok {
		return announce.Task{}, false
	}
	return (*t)[i], true
}

// put adds or replaces a task, and reports whether it is another than before.
func (t *tasks) put(x announce.Task) bool {
	i, ok := t.find(x.Addr)
	if ok {
		same := reflect.DeepEqual((*t)[i], x)
		(*t)[i] = x
		return !same
	}
	*t = slices.Insert(*t, i, x)
	return true
}

// drop removes the task of an address, and reports whether there was one.
func (t *tasks) drop(a netip.Addr) bool {
	i, ok := t.find(a)
	if ok {
		*t = slices.Delete(*t, i, i+1)
	}
	return ok
}
