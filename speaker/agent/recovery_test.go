package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

func TestIsolated(t *testing.T) {
	lan := func(subnets ...string) link.Link {
		l := link.Link{Name: "eth0"}
		for _, s := range subnets {
			l.Subnets = append(l.Subnets, netip.MustParsePrefix(s))
		}
		return l
	}
	default4, default6 := link.Link{Name: "eth1", Default4: true}, link.Link{Name: "eth2", Default6: true}
	cases := map[string]struct {
		reason string
		self   string
		links  []link.Link
		want   bool
	}{
		"NoLink":        {"all cables are pulled", "192.0.2.11", nil, true},
		"Segment":       {"the others are on the segment of this node's address", "192.0.2.11", []link.Link{lan("192.0.2.0/24")}, false},
		"SegmentOf":     {"whichever of its subnets that is", "2001:db8::11", []link.Link{lan("192.0.2.0/24", "2001:db8::/64")}, false},
		"OtherSegment":  {"a link that is left, as one of pods, does not lead there", "192.0.2.11", []link.Link{lan("10.244.0.0/24")}, true},
		"DefaultRoute":  {"or they are reached by the default route", "192.0.2.11", []link.Link{lan("10.244.0.0/24"), default4}, false},
		"DefaultRoute6": {"of the family of its address", "2001:db8::11", []link.Link{default6}, false},
		"OtherFamily":   {"not by the other", "192.0.2.11", []link.Link{default6}, true},
		"OtherFamily6":  {"nor the other way round", "2001:db8::11", []link.Link{default4}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := isolated(tc.links, netip.MustParseAddr(tc.self)); got != tc.want {
				t.Errorf("%s: %t", tc.reason, got)
			}
		})
	}
	if !isolated([]link.Link{lan("192.0.2.0/24"), default4}, netip.Addr{}) {
		t.Error("a node whose address is not known yet says something of others")
	}
}

// linked has this node's links be as they were, or gone.
func linked(links ...link.Link) func(*running) {
	return func(r *running) { r.post(func(w *world) { w.links, w.all = linksOf("node-1", links), true }) }
}

// A node that was cut off asks first, and leaves to the other what it is seen to have.
func TestReturn(t *testing.T) {
	their := mac("node-2", historyLinks[0].Name).String()
	cut := []struct {
		after time.Duration
		do    func(*running)
	}{
		{0, objects(usedService("node-1", "node-2"))},
		{0, func(r *running) {
			r.post(func(w *world) {
				n := w.nodes["node-1"]
				n.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.11")}
				w.nodes["node-1"] = n
			})
		}},
		{0, linked(historyLinks...)},
		{time.Second, linked()},
		{time.Second, linked(historyLinks...)},
	}
	cases := map[string]struct {
		reason string
		then   story
		last   string
	}{
		"Nobody":  {"if nobody has it, it is announced as before", story{{time.Second, nothing}}, "2s fresh web: Announced node-1"},
		"Another": {"if another node has it, it is left to that", story{{0, answers(true, false)}, {time.Second, sighted(their, true)}}, "3s yielding web: Announced node-2"},
		"Forged":  {"if another seems to have it, but says that it has not, it is announced", story{{0, answers(false, false)}, {time.Second, sighted(their, true)}}, "3s own insists=1 web: Announced node-1"},
		"Unheard": {"or does not say anything until this node insists", story{{time.Second, sighted(their, true)}, {time.Hour, nothing}}, "12s own insists=1 web: Announced node-1"},
		"Both":    {"of two that return the one with the first name announces it", story{{0, answers(true, true)}, {time.Second, sighted(their, true)}}, "3s own insists=1 web: Announced node-1"},
		"Later":   {"whoever returned long ago insists", story{{0, answers(true, false)}, {insist, nothing}, {time.Second, sighted(their, false)}}, "13s duplicate node-2"},
		"GivenUp": {
			"what it has given up it announces with certainty when the other is gone: to probe would leave it silent when that returns in turn",
			story{
				{0, both(objects(secret(32, 1)), found(announce.Alive), objects(usedService("node-2", "node-1")))}, {time.Second, found(announce.Gone)},
			}, "3s own web: Announced node-1",
		},
		"Certainly": {"against one that returns now", story{{insist, answers(true, true)}, {time.Second, sighted(their, false)}, {time.Minute, sighted(their, false)}}, "1m13s duplicate node-2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := append(append(story{}, cut...), tc.then...).tell(t)
			if last := got[len(got)-1]; !strings.HasPrefix(last, tc.last) {
				t.Errorf("%s: last %q, want %q, of %q", tc.reason, last, tc.last, got)
			}
		})
	}
}

// TestReunite: who could see more than half of all nodes announces again; who could not, is not certain of what it has.
func TestReunite(t *testing.T) {
	at := time.Unix(1, 0)
	cases := map[string]struct {
		reason    string
		gone, all int // all includes this node
		again     bool
		state     certainty
	}{
		"OneOfMany": {"most nodes were there", 1, 5, true, certain},
		"Most":      {"few were", 3, 5, false, returning},
		"Alone":     {"none was", 4, 5, false, returning},
		"Half":      {"half were", 2, 4, true, tied},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRecovery("m")
			r.reunite(tc.gone, tc.all, at)
			if (r.again > 0) != tc.again || r.state != tc.state {
				t.Errorf("%s: again %d, state %d", tc.reason, r.again, r.state)
			}
			r.expire(nil, at.Add(insist))
			if r.state != certain {
				t.Errorf("%s: not certain in the end", tc.reason)
			}
		})
	}
	// The first to come back of three that were gone of four says that this node was in the minority; the others change nothing.
	w := newWorld("m")
	gone := func(n int) Gossip {
		g := Gossip{Peers: map[string]Peer{}, Heals: uint64(3 - n)}
		for i, name := range []string{"a", "b", "c"} {
			p := Peer{Presence: announce.Alive}
			if i < n {
				p.Presence = announce.Gone
			}
			g.Peers[name] = p
		}
		return g
	}
	w.hear(gone(3), at)
	for n := 2; n >= 0; n-- {
		if w.hear(gone(n), at); w.recovery.state != returning || w.recovery.again > 0 {
			t.Errorf("with %d gone: state %d, again %d", n, w.recovery.state, w.recovery.again)
		}
	}
}

// TestAnswered: what comes of another speaker's answer.
func TestAnswered(t *testing.T) {
	a, at := addr("192.0.2.7"), time.Unix(1_000_000, 0)
	type told struct{ announces, returning bool }
	certainly, uncertainly, not := told{true, false}, told{true, true}, told{false, false}
	cases := map[string]struct {
		reason string
		node   string
		// doubted: this node was cut off, and announced the address. Probing: it does not announce it until it knows better.
		doubted, probing, took bool
		after                  []time.Duration
		answer                 told
		leaves, speaks         bool
	}{
		"No":              {"it does not announce it", "a", false, false, false, []time.Duration{0}, not, false, false},
		"NoProbing":       {"so this node can", "a", false, true, false, []time.Duration{0}, not, false, true},
		"NoReturning":     {"after it was cut off, too", "a", true, true, false, []time.Duration{0}, not, false, true},
		"Returning":       {"it does, and this node was cut off", "z", true, false, false, []time.Duration{0}, certainly, true, false},
		"ReturningFirst":  {"whatever their names", "a", true, false, false, []time.Duration{0}, certainly, true, false},
		"BothLast":        {"both were cut off: the first name goes before", "a", true, true, false, []time.Duration{0}, uncertainly, true, false},
		"BothFirst":       {"and it is this one's", "z", true, true, false, []time.Duration{0}, uncertainly, false, true},
		"TheyReturn":      {"the other was cut off, and gives way", "a", false, false, false, []time.Duration{0}, uncertainly, false, false},
		"Took":            {"this node took over when the other was gone", "a", false, false, true, []time.Duration{0}, certainly, false, false},
		"Once":            {"both are certain; it may be a hand-over", "a", false, false, false, []time.Duration{0}, certainly, false, false},
		"Twice":           {"it is not, and the other has the first name", "a", false, false, false, []time.Duration{0, grace}, certainly, true, false},
		"TwiceFirst":      {"this one has", "z", false, false, false, []time.Duration{0, grace}, certainly, false, false},
		"Soon":            {"again, but soon", "a", false, false, false, []time.Duration{0, grace - 1}, certainly, false, false},
		"TwiceAndProbing": {"this one does not speak while the other does", "z", false, true, false, []time.Duration{0, grace}, certainly, false, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRecovery("m")
			if tc.doubted {
				r.returns(returning, at)
				r.note(tasks{{Addr: a}})
			}
			if tc.took {
				r.gained(a, at)
			}
			for _, after := range tc.after {
				now := at.Add(after)
				r.heard(a, tc.node, tc.probing, now)
				if got := r.questions(now); len(got) != 1 || got[0] != (question{tc.node, a}) {
					t.Fatalf("%s: asked %v", tc.reason, got)
				}
				r.answered(a, "x", true, false, now) // was not asked
				r.answered(a, tc.node, tc.answer.announces, tc.answer.returning, now)
			}
			now := at.Add(tc.after[len(tc.after)-1])
			r.questions(now)
			if r.expire(map[string]Peer{tc.node: {Presence: announce.Alive}}, now.Add(hintFor)); !r.next().IsZero() && r.next().Before(now) {
				t.Errorf("%s: to be looked at again at %s, which was before %s", tc.reason, r.next(), now)
			}
			if got := r.elsewhere[a].node == tc.node; got != tc.leaves {
				t.Errorf("%s: left to it: %t", tc.reason, got)
			}
			if r.insists[a] > 0 != tc.speaks {
				t.Errorf("%s: announced after all: %d", tc.reason, r.insists[a])
			}
		})
	}
}

// TestLeftFor: an address is left to another for a while, then asked for again.
func TestLeftFor(t *testing.T) {
	a, at := addr("192.0.2.7"), time.Unix(1_000_000, 0)
	r := newRecovery("m")
	r.leave(a, "a", at)
	if got := r.recorded(a, []string{"m", "a"}); !slices.Equal(got, []string{"a", "m"}) {
		t.Errorf("as if it were recorded: %v", got)
	}
	if got := r.expire(nil, at.Add(leaveFor-1)); len(got) > 0 || r.elsewhere[a].node != "a" {
		t.Error("it is not left for as long as it should be")
	}
	if got := r.expire(nil, at.Add(leaveFor)); !slices.Equal(got, []netip.Addr{a}) || r.mode(a, announce.Own) != announce.Fresh {
		t.Errorf("to be decided: %v, mode %d: it is claimed without being asked for", got, r.mode(a, announce.Own))
	}
	r.leave(a, "a", at)
	if got := r.expire(map[string]Peer{"a": {Presence: announce.Gone}}, at); !slices.Equal(got, []netip.Addr{a}) {
		t.Error("it is left to one that is gone")
	}
}

// TestTimes: the times of the speakers depend on each other.
func TestTimes(t *testing.T) {
	for _, less := range []struct {
		reason string
		a, b   time.Duration
	}{
		{"a speaker is asked several times", 2 * askAgain, hintFor},
		{"a question is answered, or not, before a returning node insists", hintFor, insist},
		{"a hand-over that is not seen ends before the other side takes it for lost", yieldFor, leaveFor},
		{"two that go on are noticed at the second refresh", grace, leaveFor},
		{"of two sightings a refresh apart the first is remembered", grace + 2*time.Minute, forgetDuplicate},
		{"a host that is seen at each refresh is not forgotten", 2 * time.Minute, forgetHost},
		{"nor is one of two", oneOfTwo, forgetHost},
		{"probing is over before the next change of mind", probeFor, insist},
	} {
		if less.a > less.b {
			t.Errorf("%s: %s is more than %s", less.reason, less.a, less.b)
		}
	}
}

// Who has taken over from a node that is gone keeps that, also if it could not be recorded.
func TestGained(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.7")
	k := announce.Key{Namespace: "ns", Name: "web"}
	w := newWorld("node-1")
	w.putService(k, held{shown: []netip.Addr{a}, announcers: "192.0.2.7=node-2,node-1"})
	of := []announce.Announcement{{Service: k, Address: a, Node: "node-1"}}
	if w.replaces(a, of) {
		t.Error("kept from a node that is there")
	}
	w.gossip.Peers = map[string]Peer{"node-2": {Presence: announce.Gone}}
	if !w.replaces(a, of) {
		t.Error("not kept from a node that is gone")
	}
	w.recovery.gained(a, time.Unix(1, 0))
	w.gossip.Peers["node-2"] = Peer{Presence: announce.Alive}
	if got := w.recordOf(new(w.services[k]))[a]; !slices.Equal(got, []string{"node-1", "node-2"}) {
		t.Errorf("as if it were recorded: %v", got)
	}
	w.putService(k, held{shown: []netip.Addr{a}, announcers: "192.0.2.7=node-3"})
	if got := w.recordOf(new(w.services[k]))[a]; got[0] != "node-3" {
		t.Errorf("what is recorded since then counts: %v", got)
	}
}
