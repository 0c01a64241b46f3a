package responder

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"
)

// act is what is done unasked for an address.
type act int

const (
	actClaim act = iota
	actRefresh
	actProbe
	actSettle // probing is over: the address is ours
)

// urgency decides who goes first where not all can go at once.
type urgency int

const (
	urgent  urgency = iota // somebody may be without the address until then
	soon                   // for those who missed it
	routine                // refreshes
)

// A step comes some time after the one before it.
type step struct {
	after   time.Duration
	act     act
	urgency urgency
}

// The courses of action, each followed by refreshes for ever. Gratuitous packets are sent several times because some
// miss the first: a switch port that has just come up forwards nothing for a while.
var (
	gained = []step{
		{0, actClaim, urgent},
		{300 * time.Millisecond, actClaim, soon},
		{700 * time.Millisecond, actClaim, soon}, // after 1 s
		{2 * time.Second, actClaim, soon},        // after 3 s
	}
	// retold is the same, but for neighbours that know already.
	retold = []step{
		{0, actClaim, soon},
		{300 * time.Millisecond, actClaim, soon},
		{700 * time.Millisecond, actClaim, soon},
		{2 * time.Second, actClaim, soon},
	}
	// fresh holds claims back until who has the address already, and is awake, must have answered. Three probes
	// (PROBE_NUM), a second apart (PROBE_MIN), and two more seconds (ANNOUNCE_WAIT): RFC 5227, section 1.1.
	fresh = []step{
		{0, actProbe, urgent},
		{100 * time.Millisecond, actClaim, urgent},
		{300 * time.Millisecond, actClaim, soon},
		{600 * time.Millisecond, actProbe, soon}, // after 1 s
		{100 * time.Millisecond, actClaim, soon},
		{900 * time.Millisecond, actProbe, soon},  // after 2 s
		{1100 * time.Millisecond, actClaim, soon}, // after 3.1 s
		{900 * time.Millisecond, actSettle, soon}, // after 4 s
	}
	refresh = step{time.Minute, actRefresh, routine}
)

// grain is what times of refreshes are rounded to, so that thousands share a few awakenings.
const grain = time.Second

// target is an address on a link, by the link's index.
type target struct {
	link int
	addr netip.Addr
}

func (t target) compare(o target) int {
	return cmp.Or(cmp.Compare(t.link, o.link), t.addr.Compare(o.addr))
}

// schedule knows what is to be done unasked, and when. A step counts from when the one before it was
// done, so that a burst that has to wait is stretched, not squeezed.
type schedule struct {
	begin time.Time // from which grains are counted
	jobs  map[target]*job
	later *queue // by time
	ready *queue // what is due, by urgency
}

func newSchedule() schedule {
	return schedule{begin: time.Now(), jobs: map[target]*job{}, later: &queue{less: (*job).before}, ready: &queue{less: (*job).precedes}}
}

// start begins a course, instead of what was to be done for the target.
func (s *schedule) start(t target, course []step, now time.Time) {
	s.drop(t)
	j := &job{target: t, course: course}
	s.jobs[t] = j
	s.plan(j, now)
}

// restart is start, unless something urgent is to be done.
func (s *schedule) restart(t target, course []step, now time.Time) {
	if j, ok := s.jobs[t]; !ok || j.urgency != urgent {
		s.start(t, course, now)
	}
}

// hasten has the next step of a target done by some time, before others.
func (s *schedule) hasten(t target, by time.Time) {
	if j, ok := s.jobs[t]; ok {
		heap.Remove(j.queue, j.index)
		if by.Before(j.at) {
			j.at = by
		}
		j.urgency = urgent
		s.later.add(j)
	}
}

// drop forgets a target.
func (s *schedule) drop(t target) {
	if j, ok := s.jobs[t]; ok {
		heap.Remove(j.queue, j.index)
		delete(s.jobs, t)
	}
}

// dropLink forgets the targets on a link.
func (s *schedule) dropLink(index int) {
	for t := range s.jobs {
		if t.link == index {
			s.drop(t)
		}
	}
}

// due returns the first of what is due; nil if nothing is.
func (s *schedule) due(now time.Time) *job {
	for j := s.later.first(); j != nil && !j.at.After(now); j = s.later.first() {
		heap.Pop(s.later)
		s.ready.add(j)
	}
	return s.ready.first()
}

// done counts what was due as done.
func (s *schedule) done(j *job, now time.Time) {
	heap.Remove(j.queue, j.index)
	if j.next().act == actRefresh {
		j.refreshes++
	}
	j.course = j.course[min(1, len(j.course)):]
	s.plan(j, now)
}

// plan has the next step of a job done in time.
func (s *schedule) plan(j *job, now time.Time) {
	next := j.next()
	j.at, j.urgency = now.Add(next.after), next.urgency
	if next.act == actRefresh {
		jitter := rand.N(next.after/2) - next.after/4                     //nolint:gosec // spreads load, keeps no secret
		j.at = s.begin.Add(j.at.Add(jitter).Sub(s.begin).Truncate(grain)) // Time.Truncate would heed changes of the time of day
	}
	s.later.add(j)
}

// wait returns how long nothing is due; idle if nothing ever is.
func (s *schedule) wait(now time.Time) time.Duration {
	if s.ready.first() != nil {
		return 0
	}
	if j := s.later.first(); j != nil {
		return max(0, j.at.Sub(now))
	}
	return idle
}
