package responder

import (
	"cmp"
	"container/heap"
	"time"
)

// job is what remains to be done for a target.
type job struct {
	target  target
	course  []step // what remains of it; then refreshes
	at      time.Time
	urgency urgency // of the next step
	// refreshes is how many there have been.
	refreshes int

	queue *queue // in which it is
	index int
}

func (j *job) next() step {
	if len(j.course) == 0 {
		return refresh
	}
	return j.course[0]
}

// before orders jobs by time, and precedes by urgency first.
func (j *job) before(o *job) bool {
	return cmp.Or(j.at.Compare(o.at), j.target.compare(o.target)) < 0
}

func (j *job) precedes(o *job) bool {
	return cmp.Or(cmp.Compare(j.urgency, o.urgency), j.at.Compare(o.at), j.target.compare(o.target)) < 0
}

// queue is a heap of jobs that know where they are, for package heap.
type queue struct {
	less func(a, b *job) bool
	jobs []*job
}

func (q *queue) add(j *job) { heap.Push(q, j) }

// first returns the first job; nil if there is none.
func (q *queue) first() *job {
	if len(q.jobs) == 0 {
		return nil
	}
	return q.jobs[0]
}

// Len is for package heap.
func (q *queue) Len() int { return len(q.jobs) }

// Less is for package heap.
func (q *queue) Less(i, j int) bool { return q.less(q.jobs[i], q.jobs[j]) }

// Swap is for package heap.
func (q *queue) Swap(i, j int) {
	q.jobs[i], q.jobs[j] = q.jobs[j], q.jobs[i]
	q.jobs[i].index, q.jobs[j].index = i, j
}

// Push is for package heap.
func (q *queue) Push(x any) {
	j := x.(*job) //nolint:forcetypeassert // add pushes nothing else
	j.queue, j.index = q, len(q.jobs)
	q.jobs = append(q.jobs, j)
}

// Pop is for package heap.
func (q *queue) Pop() any {
	last := len(q.jobs) - 1
	j := q.jobs[last]
	q.jobs[last] = nil
	q.jobs = q.jobs[:last]
	return j
}
