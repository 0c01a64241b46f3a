package outage

import (
	"maps"
	"slices"
	"time"
)

// How long after it was marked a node that came back is marked when it is lost again: longer each time, so that a link that comes
// and goes does not have pods come and go with it. When it was back for some time, all is forgotten.
const (
	firstPause  = 10 * time.Second
	longest     = 10 * time.Minute
	forgiveness = 15 * time.Second
)

// An episode is a time for which a node is lost, or was.
type episode struct {
	// lost: it lasts. marked: what there was to do is done.
	lost, marked bool
	// times counts how often the node was marked, and last is when it was.
	times int
	last  time.Time
	// ended is when it came back.
	ended time.Time
}

// pause is how long after it was marked the node may be again.
func (e *episode) pause() time.Duration {
	if e.times == 0 {
		return 0
	}
	return min(firstPause<<min(e.times-1, 10), longest)
}

// episodes are those of all nodes. It is a value with one owner.
type episodes map[string]*episode

// due notes which nodes are lost now, and returns those to mark, sorted, and in which time to look again; zero for not at all.
func (e episodes) due(lost []string, now time.Time) (mark []string, again time.Duration) {
	for node, x := range e {
		switch is := slices.Contains(lost, node); {
		case x.lost && !is:
			x.lost, x.marked, x.ended = false, false, now
		case !x.lost && !is && now.Sub(x.ended) > forgiveness:
			delete(e, node)
		}
	}
	for _, node := range lost {
		if e[node] == nil {
			e[node] = &episode{}
		}
		e[node].lost = true
	}
	for _, node := range slices.Sorted(maps.Keys(e)) {
		x := e[node]
		if !x.lost || x.marked {
			continue
		}
		if wait := x.last.Add(x.pause()).Sub(now); wait > 0 {
			if again == 0 || wait < again {
				again = wait
			}
			continue
		}
		mark = append(mark, node)
	}
	return mark, again
}

// done notes that a node was marked.
func (e episodes) done(node string, now time.Time) {
	if x := e[node]; x != nil {
		x.marked, x.last = true, now
		x.times++
	}
}
