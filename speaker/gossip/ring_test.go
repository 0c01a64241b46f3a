package gossip

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// rings are the rings of a whole cluster, in a time of their own that passes by the millisecond.
type rings struct {
	*testing.T
	rand *rand.Rand
	now  time.Time
	all  map[string]*simulated
	mail []mail
	// lost is the share of notices that get lost.
	lost float64
}

type simulated struct {
	*ring
	again         time.Time
	dead, hung    bool
	sent, wakings int
}

type mail struct {
	notice
	from string
	at   time.Time
}

func ringsOf(t *testing.T, n int) *rings {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &rings{T: t, rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1e9, 0), all: map[string]*simulated{}}
	for i := range n {
		name := fmt.Sprintf("node-%03d", i)
		w.all[name] = &simulated{ring: newRing(name), again: w.now}
	}
	return w
}

// learn has one know who is living.
func (w *rings) learn(name string, living []string) {
	s := w.all[name]
	s.living(living, w.now)
	s.again = w.now
}

// met has all know all, at once.
func (w *rings) met() {
	names := slices.Sorted(maps.Keys(w.all))
	for _, name := range names {
		w.learn(name, names)
	}
	w.run(3 * time.Second)
}

// run lets time pass. It calls each before every millisecond.
func (w *rings) run(d time.Duration, each ...func()) {
	names := slices.Sorted(maps.Keys(w.all))
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(time.Millisecond) {
		for _, f := range each {
			f()
		}
		woken := map[string]bool{}
		var left []mail
		for _, m := range w.mail {
			to := w.all[m.to]
			switch {
			case to.dead:
			case to.hung || w.now.Before(m.at):
				left = append(left, m)
			case m.about != "":
				to.doubted(m.about, m.from, w.now)
				woken[m.to] = true
			default:
				to.beat(m.from, w.now)
				woken[m.to] = true
			}
		}
		w.mail = left
		for _, name := range names {
			s := w.all[name]
			if s.dead || s.hung || !woken[name] && w.now.Before(s.again) {
				continue
			}
			w.post(name)
		}
	}
}

// post has one do what it has to.
func (w *rings) post(name string) {
	s := w.all[name]
	var out []notice
	out, s.again = s.do(w.now)
	s.wakings++
	s.sent += len(out)
	for _, l := range out {
		if w.rand.Float64() >= w.lost {
			w.mail = append(w.mail, mail{l, name, w.now.Add(time.Duration(w.rand.IntN(3)) * time.Millisecond)})
		}
	}
}

// doubters returns who doubts one, of those who could.
func (w *rings) doubters(name string) (out []string) {
	for _, n := range slices.Sorted(maps.Keys(w.all)) {
		if s := w.all[n]; n != name && !s.dead && !s.hung && s.doubts[name] != nil {
			out = append(out, n)
		}
	}
	return out
}

// calm fails if anybody who is well is doubted.
func (w *rings) calm() {
	for name, s := range w.all {
		if s.dead || s.hung {
			continue
		}
		for other := range s.doubts {
			if o := w.all[other]; !o.dead && !o.hung {
				w.Fatalf("%s doubts %s at %s", name, other, w.now)
			}
		}
	}
}

var sizes = []int{2, 3, 4, 10, 100}

// While nothing happens each sends ten heartbeats a second, and is woken about as often.
func TestRingAtRest(t *testing.T) {
	for _, n := range sizes {
		w := ringsOf(t, n)
		w.met()
		for _, s := range w.all {
			s.sent, s.wakings = 0, 0
		}
		w.run(10*time.Second, w.calm)
		for name, s := range w.all {
			if s.sent < 95 || s.sent > 105 {
				t.Errorf("of %d, %s has sent %d in 10 s", n, name, s.sent)
			}
			// The first is woken by itself and by what it hears.
			if limit := 110; s.wakings > limit && (s.names[0] != name || s.wakings > 2*limit) {
				t.Errorf("of %d, %s has been woken %d times in 10 s", n, name, s.wakings)
			}
		}
	}
}

// Speakers that meet, some hearing of it sooner than others, doubt nobody.
func TestRingMeets(t *testing.T) {
	for _, n := range sizes {
		w := ringsOf(t, n)
		names := slices.Sorted(maps.Keys(w.all))
		w.rand.Shuffle(n, func(i, j int) { names[i], names[j] = names[j], names[i] })
		knows := map[string][]string{}
		news := map[time.Time][][2]string{} // who hears when of whom
		hears := func(a, b string, at time.Time) { news[at] = append(news[at], [2]string{a, b}) }
		for i, a := range names {
			for _, b := range names[:i] {
				at := w.now.Add(time.Duration(i*2000/n+w.rand.IntN(400)) * time.Millisecond)
				hears(a, b, at)
				hears(b, a, at.Add(time.Duration(w.rand.IntN(400))*time.Millisecond))
			}
		}
		w.run(5*time.Second, w.calm, func() {
			for _, n := range news[w.now] {
				knows[n[0]] = append(knows[n[0]], n[1])
				w.learn(n[0], knows[n[0]])
			}
		})
		for _, a := range names {
			if got := len(w.all[a].names); got != n {
				t.Fatalf("%s knows %d of %d", a, got, n)
			}
		}
	}
}

// Who dies is doubted by all in time, and nobody else is.
func TestRingLosesSome(t *testing.T) {
	for _, n := range sizes {
		for dead := 1; dead <= 3 && dead < n; dead++ {
			for range 5 {
				w := ringsOf(t, n)
				w.met()
				w.run(time.Duration(w.rand.IntN(200)) * time.Millisecond)
				names := slices.Sorted(maps.Keys(w.all))
				from := w.rand.IntN(n) // neighbours in the ring: the worst case
				for i := range dead {
					w.all[names[(from+i)%n]].dead = true
				}
				w.run(time.Duration(dead)*late+10*time.Millisecond, w.calm)
				for i := range dead {
					name := names[(from+i)%n]
					if by := w.doubters(name); len(by) != n-dead {
						t.Errorf("of %d, %s is dead, and doubted by %v only", n, name, by)
					}
				}
				// Memberlist finds out too.
				living := slices.DeleteFunc(names, func(name string) bool { return w.all[name].dead })
				for _, name := range living {
					w.run(time.Duration(w.rand.IntN(50))*time.Millisecond, w.calm)
					w.learn(name, living)
				}
				w.run(3*time.Second, w.calm)
			}
		}
	}
}

// Who leaves is doubted by all at once, even by those who miss that it says so.
func TestRingLeaves(t *testing.T) {
	for _, n := range sizes {
		for _, lost := range []float64{0, 0.5} {
			w := ringsOf(t, n)
			w.met()
			names := slices.Sorted(maps.Keys(w.all))
			i := w.rand.IntN(n)
			name, next := names[i], names[(i+1)%n]
			for _, to := range w.all[name].others() {
				if to == next || w.rand.Float64() >= lost {
					w.mail = append(w.mail, mail{notice{to, name}, name, w.now})
				}
			}
			w.all[name].dead = true
			within := 5 * time.Millisecond
			if lost > 0 {
				within += beatInterval
			}
			w.run(within, w.calm)
			if by := w.doubters(name); len(by) != n-1 {
				t.Errorf("of %d, %s has left, and is doubted by %v only", n, name, by)
			}
			w.run(3*time.Second, w.calm)
		}
	}
}

// Who stood still is doubted by nobody a moment after it goes on, or was started again, and doubts nobody.
func TestRingRecovers(t *testing.T) {
	for _, n := range sizes {
		for _, restarted := range []bool{false, true} {
			w := ringsOf(t, n)
			w.lost = 0.01
			w.met()
			names := slices.Sorted(maps.Keys(w.all))
			name := names[w.rand.IntN(n)]
			s := w.all[name]
			s.hung = true
			w.run(700*time.Millisecond + time.Duration(w.rand.IntN(2000))*time.Millisecond)
			if by := w.doubters(name); len(by) != n-1 {
				t.Errorf("of %d, %s is hung, and doubted by %v only", n, name, by)
			}
			s.hung = false
			if restarted {
				s.ring = newRing(name)
				w.learn(name, names)
			} else {
				w.post(name) // before it hears what has been sent meanwhile
			}
			w.lost = 0
			w.run(10 * time.Millisecond)
			if by := w.doubters(name); len(by) > 0 {
				t.Errorf("of %d, %s goes on, and is doubted by %v", n, name, by)
			}
			// What was lost before may have others be doubted, until they are heard again.
			w.run(50*time.Millisecond, func() {
				if by := w.doubters(name); len(by) > 0 {
					t.Fatalf("of %d, %s has gone on, and is doubted again by %v", n, name, by)
				}
			})
			w.run(settling)
			w.calm()
			w.lost = 0.05
			w.run(10 * time.Second)
			w.lost = 0
			w.run(2 * settling)
			w.calm()
		}
	}
}
