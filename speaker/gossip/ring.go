package gossip

import (
	"maps"
	"slices"
	"time"
)

// A ring decides who sends heartbeats to whom. The living, by their names, stand in a ring, and each sends heartbeats
// to the next. Who misses those of the one before doubts it, and says so to all, who then doubt it too. The doubted, if it
// hears of that, sends a heartbeat to all; whoever it reaches doubts no more. So a failure is noticed by one and
// known to all within a fixed time, and what each sends and hears does not depend on how many there are.
//
// Doubts only hasten: who is doubted is still living for memberlist, until that finds out the same. A ring is a value
// that one goroutine owns at a time; it does no I/O.
type ring struct {
	self string
	// names are the living by what memberlist says, sorted, with this one.
	names  []string
	doubts map[string]*doubt
	// heard is when a heartbeat of another came last.
	heard map[string]time.Time
	// before is who is listened to, and due when it is doubted if it is not heard. Until patient it is not, as it may
	// not know yet that this one is next.
	before       string
	due, patient time.Time
	// after are those who are sent heartbeats: the next, and before it those that are doubted. Former ones are sent
	// them a while longer, as they may not know yet that another does so now.
	after, former []string
	formerUntil   time.Time
	// greeted are those who are sent one because they are new here: they may doubt this one, that has just returned.
	greeted []string
	// last is when heartbeats were sent, and next when they are to be.
	last, next time.Time
	// refute: somebody doubts this one. At refuted it said last that it is there.
	refute  bool
	refuted time.Time
}

// doubt is that of one that memberlist counts among the living.
type doubt struct {
	// ours: all are to know, not only the doubted.
	ours bool
	told int
	next time.Time
}

const (
	beatInterval = 100 * time.Millisecond
	// nearly is after how long heartbeats are sent already because one was heard: one waking serves for both. The first
	// of the ring sets the pace, and the others send by themselves only a little later than they would be moved to.
	nearly  = beatInterval * 3 / 5
	ownPace = beatInterval * 6 / 5
	// late is how long after the last heartbeat its sender is doubted: two of them may be lost, or slow.
	late = beatInterval * 5 / 2
	// stalled is how late one is woken that was asleep, or had no CPU.
	stalled = beatInterval / 2
	// settling is how long others may take to hear who is there.
	settling = time.Second
	// tellings is how often a doubt is sent to all. Who was cut off and returns after that asks only whom it doubts.
	tellings = 3
	// formerLimit is how many former ones are sent heartbeats at most.
	formerLimit = 16
)

// notice is something to be sent.
type notice struct {
	to string
	// about is whom the sender doubts; empty for a heartbeat.
	about string
}

func notices(to []string, about string) []notice {
	out := make([]notice, len(to))
	for i := range to {
		out[i] = notice{to[i], about}
	}
	return out
}

func newRing(self string) *ring {
	return &ring{self: self, names: []string{self}, doubts: map[string]*doubt{}, heard: map[string]time.Time{}}
}

// knows reports whether somebody is one of the living.
func (r *ring) knows(name string) bool {
	_, found := slices.BinarySearch(r.names, name)
	return found
}

// living sets who is living, this one included or not.
func (r *ring) living(names []string, now time.Time) {
	known := r.names
	r.names = slices.Sorted(slices.Values(names))
	if !r.knows(r.self) {
		r.names = slices.Sorted(slices.Values(append(r.names, r.self)))
	}
	gone := func(name string) bool { return !r.knows(name) }
	maps.DeleteFunc(r.doubts, func(name string, _ *doubt) bool { return gone(name) })
	maps.DeleteFunc(r.heard, func(name string, _ time.Time) bool { return gone(name) })
	r.former = slices.DeleteFunc(r.former, gone)
	r.greeted = slices.DeleteFunc(append(r.greeted, r.names...), func(name string) bool {
		_, found := slices.BinarySearch(known, name)
		return found || gone(name)
	})
	r.turn(now, settling)
}

// beat notes a heartbeat.
func (r *ring) beat(from string, now time.Time) {
	if !r.alive(from, now) {
		return
	}
	r.heard[from] = now
	if from != r.before {
		return
	}
	if r.due = now.Add(late); r.due.Before(r.patient) {
		r.due = r.patient
	}
	if r.names[0] != r.self && now.Sub(r.last) >= nearly {
		r.next = now
	}
}

// alive notes that another is certainly there. It returns false if it is not one of the living.
func (r *ring) alive(name string, now time.Time) bool {
	if !r.knows(name) || name == r.self {
		return false
	}
	if r.doubts[name] != nil {
		delete(r.doubts, name)
		r.turn(now, 0)
	}
	return true
}

// doubted notes that somebody doubts one of the living. Who leaves doubts itself; should some miss that, the next tells all.
func (r *ring) doubted(name, by string, now time.Time) {
	if name == r.self {
		r.refute = true
		return
	}
	if leaves := name == by; r.knows(name) && r.doubts[name] == nil && (leaves || now.Sub(r.heard[name]) >= late) {
		r.doubts[name] = &doubt{ours: leaves && name == r.before, next: now.Add(beatInterval)}
		r.turn(now, 0)
	}
}

// others returns all but this one.
func (r *ring) others() []string {
	return slices.DeleteFunc(slices.Clone(r.names), func(n string) bool { return n == r.self })
}

// turn finds again who is before and who is after. One that was not listened to before has so much longer to be heard.
func (r *ring) turn(now time.Time, slack time.Duration) {
	i, _ := slices.BinarySearch(r.names, r.self)
	around := append(slices.Clone(r.names[i+1:]), r.names[:i]...) // the next first
	before, after := "", around
	for j, name := range around {
		if r.doubts[name] == nil {
			before = name
			after = around[:min(len(after), j+1)]
		}
	}
	if before != r.before {
		r.before, r.patient = before, now.Add(slack)
		r.due = r.patient.Add(late)
	}
	if slices.Equal(after, r.after) {
		return
	}
	former := slices.DeleteFunc(append(r.after, r.former...), func(n string) bool {
		return slices.Contains(after, n) || !r.knows(n)
	})
	r.former, r.formerUntil = former[:min(len(former), formerLimit)], now.Add(2*settling)
	r.after, r.next = slices.Clone(after), now
}

// do returns what is to be sent now, and when to look again.
func (r *ring) do(now time.Time) (out []notice, again time.Time) {
	switch over := now.Sub(r.due); {
	case r.before == "" || over < 0:
	case over < stalled:
		r.doubts[r.before] = &doubt{ours: true, next: now}
		r.turn(now, 0)
	default: // this one was not woken in time: what it has missed may be waiting to be heard
		r.due = now.Add(stalled)
	}
	if len(r.names) < 2 {
		return nil, now.Add(time.Hour)
	}
	out, r.greeted = notices(r.greeted, ""), nil
	if !now.Before(r.next) {
		r.last, r.next = now, now.Add(r.pace())
		if !now.Before(r.formerUntil) {
			r.former = nil
		}
		out = append(out, notices(slices.Concat(r.after, r.former), "")...)
	}
	if r.refute && now.Sub(r.refuted) >= nearly {
		r.refute, r.refuted = false, now
		out = append(out, notices(r.others(), "")...)
	}
	look := []time.Time{r.next}
	if r.before != "" {
		look = append(look, r.due)
	}
	for _, name := range slices.Sorted(maps.Keys(r.doubts)) {
		d := r.doubts[name]
		if !now.Before(d.next) {
			out = append(out, r.doubting(name, d)...)
			d.told++
			d.next = now.Add(d.pause())
		}
		look = append(look, d.next)
	}
	return out, slices.MinFunc(look, time.Time.Compare)
}

func (r *ring) pace() time.Duration {
	if r.names[0] == r.self {
		return beatInterval
	}
	return ownPace
}

func (r *ring) doubting(name string, d *doubt) []notice {
	to := []string{name}
	if d.ours && d.told < tellings {
		to = r.others()
	}
	return notices(to, name)
}

// pause is how long to wait before a doubt is sent again: soon at first, as packets get lost.
func (d *doubt) pause() time.Duration {
	if d.told < tellings {
		return beatInterval
	}
	return settling
}
