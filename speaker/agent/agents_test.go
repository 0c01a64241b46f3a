package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// cluster is some Agents, what is between them, and what the drivers around each do, in a bubble of synctest. One goroutine,
// the test's, moves it on in ticks.
type cluster struct {
	nodes []*member
	// record is what the API server has; api says whether it can be reached.
	record []string
	api    bool
	log    []string
	began  time.Time
}

// member is one node.
type member struct {
	*Agent
	c    *cluster
	name string
	// segment is which of the others it reaches: those with the same number. 0 is none: its cable is out.
	segment int
	heals   uint64
	gone    map[string]bool
	last    atomic.Pointer[Decided] // the Agent's goroutine stores it
	// task is what it does about the address, and mute that the responder has fallen silent, as it heard another.
	task  announce.Task
	mute  bool
	again uint64
	next  time.Time // when it claims the address unasked
	seen  []string  // the record that it was given
	write time.Time // when it writes what it has to
}

const tick = 50 * time.Millisecond

var vip = addr("192.0.2.7")

func newCluster(t *testing.T, names ...string) *cluster {
	c := &cluster{api: true, record: names[:2], began: time.Now()}
	for _, name := range names {
		m := &member{c: c, name: name, segment: 1, gone: map[string]bool{}}
		m.Agent = New(Options{
			Node: name, Class: kube.NewClass(), Namespace: "fairlead-system", Service: "speaker",
			Apply: func(d Decided) { m.last.Store(&d) }, Duplicate: func(string) {},
			Seen: func(announce.Key, *metav1.Condition, map[netip.Addr][]string, []netip.Addr) {},
			Ask: func(node string, a netip.Addr) {
				other := c.member(node)
				if !m.reaches(other) {
					return
				}
				other.Asked(a, func(announces, returning bool) {
					if m.reaches(other) {
						m.Answered(a, node, announces, returning)
					}
				})
			},
		})
		c.nodes = append(c.nodes, m)
	}
	for _, m := range c.nodes {
		m.see(names)
		go m.decide(t.Context())
		close(m.synced)
	}
	c.run(time.Second)
	return c
}

// see gives a member the objects that there are.
func (m *member) see(names []string) {
	put := func(objects ...client.Object) {
		for _, o := range objects {
			m.post(m.cached(o))
		}
	}
	put(&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}},
		&v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}},
		slice("fairlead-system", "speaker-x", "speaker", names...), slice("ns", "web-1", "web", names...),
		kube.NewGossipSecret("fairlead-system", func([]byte) {}))
	for i, n := range names {
		put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("192.0.2.%d", 100+i)}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}}, &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: v1beta1.SpeakerStatusStatus{Interfaces: interfaces(n, historyLinks[:1])}})
	}
	m.plug(true)
	m.hears()
	m.watches()
}

func (c *cluster) member(name string) *member {
	return c.nodes[slices.IndexFunc(c.nodes, func(m *member) bool { return m.name == name })]
}

func (m *member) reaches(o *member) bool { return m.segment != 0 && m.segment == o.segment }

// plug has the member's links be there, or not.
func (m *member) plug(in bool) {
	links := linksOf(m.name, historyLinks[:1])
	if !in {
		links = nil
	}
	m.post(func(w *world) { w.links, w.all = links, true })
}

// hears tells the Agent what the gossip has found out. One that is cut off draws no conclusions.
func (m *member) hears() {
	if m.segment == 0 {
		return
	}
	g := Gossip{Peers: map[string]Peer{}}
	for _, o := range m.c.nodes {
		if o == m {
			continue
		}
		p := Peer{Presence: announce.Gone}
		if m.reaches(o) {
			p.Presence = announce.Alive
			if m.gone[o.name] {
				m.heals++
			}
		}
		m.gone[o.name] = p.Presence == announce.Gone
		g.Peers[o.name] = p
	}
	g.Heals = m.heals
	m.SetGossip(g)
}

// watches gives the member what the API server has.
func (m *member) watches() {
	if !m.c.api || m.segment != 1 || slices.Equal(m.seen, m.c.record) {
		return
	}
	m.seen = slices.Clone(m.c.record)
	s := usedService(m.seen...)
	m.post(m.cached(s))
}

// speaks reports whether the member answers for the address.
func (m *member) speaks() bool { return m.task.Mode >= 0 && m.task.Addr.IsValid() && !m.mute }

// announces reports whether it announces the address to all.
func (m *member) announces() bool { return m.speaks() && m.task.Mode.Announced() }

// turn does as a responder does when it is told what to do.
func (m *member) turn() {
	last := m.last.Load()
	if last == nil {
		return
	}
	var now announce.Task
	for _, t := range last.Tasks {
		now = t
	}
	was := m.task
	m.task = now
	announced := now.Addr.IsValid() && now.Mode.Announced()
	switch {
	case !announced:
		if !was.Addr.IsValid() || now.Mode != was.Mode {
			m.mute = false
		}
	case !was.Addr.IsValid() || !was.Mode.Announced() || m.mute && (was.Mode != now.Mode || was.Insists != now.Insists):
		m.mute = false
		m.claim(now.Mode == announce.Fresh)
	case last.Again != m.again, !m.next.After(time.Now()):
		m.claim(false)
	}
	m.again = last.Again
}

// claim has the others hear of the address. Probing, it hears first of one that announces it.
func (m *member) claim(probing bool) {
	m.next = time.Now().Add(time.Minute)
	if m.mute {
		return
	}
	if probing {
		for _, o := range m.c.nodes {
			if o != m && m.reaches(o) && o.announces() && o.task.Mode == announce.Own {
				m.hear(o.name)
			}
		}
	}
	if m.mute {
		return
	}
	for _, o := range m.c.nodes {
		if o != m && m.reaches(o) {
			o.hear(m.name)
		}
	}
}

// hear does as a responder does when it hears a claim with the MAC of a node.
func (m *member) hear(from string) {
	if !m.speaks() || m.segment == 0 {
		return
	}
	h := Host{MAC: mac(from, "eth0").String(), Link: "eth0", Seen: time.Now()}
	switch m.task.Mode {
	case announce.Yielding:
		m.mute = true
		return
	case announce.Standin:
		return
	case announce.Fresh:
		m.mute, h.Before = true, true
	case announce.Own:
		m.next = min2(m.next, time.Now().Add(500*time.Millisecond)) // it defends the address
	}
	m.Sighted(vip, h)
}

func min2(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// writes has the member record that it announces, if the API server says otherwise.
func (m *member) writes() {
	wants := m.last.Load() != nil && m.task.Addr.IsValid() && m.task.Mode.Announced() && m.c.record[0] != m.name
	switch {
	case !wants || !m.c.api || m.segment != 1:
		m.write = time.Time{}
	case m.write.IsZero():
		m.write = time.Now().Add(time.Second)
	case !m.write.After(time.Now()):
		m.c.record = []string{m.name, m.c.record[0]}
		m.write = time.Time{}
	}
}

// run lets time pass.
func (c *cluster) run(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(tick) {
		synctest.Wait()
		for _, m := range c.nodes {
			m.turn()
		}
		for _, m := range c.nodes {
			m.writes()
			m.watches()
		}
	}
	synctest.Wait()
	c.note("later")
}

func (c *cluster) note(what string) {
	var parts []string
	for _, m := range c.nodes {
		state := "-"
		if m.task.Addr.IsValid() {
			state = modes[m.task.Mode]
			if m.mute {
				state += "(mute)"
			}
		}
		parts = append(parts, fmt.Sprintf("%s@%d:%s", m.name, m.segment, state))
	}
	c.log = append(c.log, fmt.Sprintf("%8s %-14s record %v api %t | %s", time.Since(c.began).Truncate(tick), what, c.record, c.api, strings.Join(parts, " ")))
}

// move puts nodes on segments.
func (c *cluster) move(segments ...int) {
	was := make([]int, len(segments))
	for i, m := range c.nodes { // before any Agent goes on, which asks who is reached
		was[i], m.segment = m.segment, segments[i]
	}
	for i, m := range c.nodes {
		if (was[i] == 0) != (m.segment == 0) {
			m.plug(m.segment != 0)
		}
	}
	for _, m := range c.nodes {
		m.hears()
	}
	c.note("moved")
}

// announcers are those who announce the address.
func (c *cluster) announcers() []string {
	var out []string
	for _, m := range c.nodes {
		if m.announces() {
			out = append(out, m.name)
		}
	}
	return out
}

// TestAgents lets partitions, outages of the API server and forged frames come over several agents, each with its own view. When all is
// over one of them announces the address, all know which, and it stays there.
func TestAgents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"node-1", "node-2", "node-3", "node-4"}[:rapid.IntRange(2, 4).Draw(rt, "nodes")]
		type event struct {
			what     string
			segments []int
			wait     time.Duration
			as, at   int
		}
		var events []event
		for range rapid.IntRange(1, 6).Draw(rt, "events") {
			e := event{what: rapid.SampledFrom([]string{"move", "move", "move", "api", "forge"}).Draw(rt, "what")}
			e.as, e.at = rapid.IntRange(0, len(names)-1).Draw(rt, "as"), rapid.IntRange(0, len(names)-1).Draw(rt, "at")
			for range names {
				e.segments = append(e.segments, rapid.IntRange(0, 2).Draw(rt, "segment"))
			}
			e.wait = time.Duration(rapid.SampledFrom([]int{100, 300, 1000, 3000, 15000, 70000}).Draw(rt, "wait")) * time.Millisecond
			events = append(events, e)
		}
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, names...)
			fail := func(format string, args ...any) {
				rt.Errorf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(c.log, "\n"))
			}
			for _, e := range events {
				switch e.what {
				case "move":
					c.move(e.segments...)
				case "api":
					c.api = !c.api
				case "forge":
					if e.as != e.at {
						c.nodes[e.at].hear(names[e.as])
						c.note("forged " + names[e.as] + " at " + names[e.at])
					}
				}
				c.run(e.wait)
			}
			c.api = true
			c.move(slices.Repeat([]int{1}, len(names))...)
			for passed := time.Duration(0); passed < 5*time.Minute; passed += time.Second {
				c.run(time.Second)
				if speaking := slices.ContainsFunc(c.nodes, (*member).speaks); passed > insist+hintFor && !speaking {
					fail("nobody answers for the address, %s after all are together", passed)
					return
				}
			}
			all := c.announcers()
			if len(all) != 1 || c.record[0] != all[0] {
				fail("in the end %v announce, and %v is recorded", all, c.record)
				return
			}
			for range 30 {
				for i := range c.nodes {
					for j := range c.nodes {
						if i != j {
							c.nodes[i].hear(names[j])
						}
					}
				}
				c.run(10 * time.Second)
				if now := c.announcers(); !slices.Equal(now, all) {
					fail("forged frames have moved the address from %v to %v", all, now)
					return
				}
			}
		})
	})
}
