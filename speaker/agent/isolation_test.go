package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
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
	return func(r *running) { r.enqueue(func(w *world) { w.links, w.all = linksOf("node-1", links), true }) }
}

// A node that was cut off asks first, and leaves to the other what it is seen to have.
func TestReturn(t *testing.T) {
	their := mac("node-2", historyLinks[0].Name).String()
	told := service("192.0.2.7")
	told.Annotations[kube.AnnotationAnnouncers] = "192.0.2.7=node-1,node-2"
	told.Status.Conditions = []metav1.Condition{{
		Type: v1beta1.ServiceConditionAnnounced, Status: metav1.ConditionTrue, Message: kube.ByNode(netip.MustParseAddr("192.0.2.7"), "node-1"),
	}}
	cut := []struct {
		after time.Duration
		do    func(*running)
	}{
		{0, objects(told)},
		{0, func(r *running) {
			r.enqueue(func(w *world) {
				n := w.nodes["node-1"]
				n.Address = netip.MustParseAddr("192.0.2.11")
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
		"Another": {"if another node has it, it is left to that", story{{time.Second, sighted(their, true)}}, "3s yielding web: Announced node-2"},
		"Later":   {"whoever returned long ago insists", story{{insist, nothing}, {time.Second, sighted(their, false)}}, "13s duplicate node-2"},
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

// Who could see more than half of all nodes tells the neighbours again; who could not, waits for that.
func TestHeal(t *testing.T) {
	at := time.Unix(1, 0)
	peers := func(gone, all int) map[string]Peer {
		out := map[string]Peer{}
		for i := range all {
			p := Peer{Presence: announce.Alive}
			if i < gone {
				p.Presence = announce.Gone
			}
			out[string(rune('a'+i))] = p
		}
		return out
	}
	cases := map[string]struct {
		reason                   string
		gone, all                int
		retells, yields, insists bool // towards "b" and "z"
	}{
		"OneOfMany": {"most nodes were there", 1, 4, true, false, true},
		"Most":      {"few were", 3, 4, false, true, false},
		"Alone":     {"none was", 4, 4, false, true, false},
		"Half":      {"half were: the first name goes before", 2, 3, true, true, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld("m")
			a := netip.MustParseAddr("192.0.2.7")
			w.gossip.Peers = peers(tc.gone, tc.all)
			w.heal(at)
			w.doubts(map[netip.Addr]announce.Task{a: {Addr: a}})
			if got := w.retell > 0; got != tc.retells {
				t.Errorf("%s: tells again: %t", tc.reason, got)
			}
			if w.concede(a, "z", at); (w.elsewhere[a].node == "z") == tc.insists {
				t.Errorf("%s: left to z: %t", tc.reason, !tc.insists)
			}
			w.doubts(map[netip.Addr]announce.Task{a: {Addr: a}})
			if w.concede(a, "b", at); (w.elsewhere[a].node == "b") != tc.yields && tc.insists {
				t.Errorf("%s: left to b: %t", tc.reason, !tc.yields)
			}
		})
	}
}

// Who has taken over from a node that is gone keeps that, also if it could not be recorded.
func TestGained(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.7")
	k := announce.Key{Namespace: "ns", Name: "web"}
	w := newWorld("node-1")
	w.putService(k, kube.Service{Namespace: "ns", Name: "web", Shown: []netip.Addr{a}, Announcers: "192.0.2.7=node-2,node-1"})
	of := []announce.Announcement{{Service: k, Address: a, Node: "node-1"}}
	if w.gained(a, of, time.Unix(1, 0)); w.recordOf(new(w.services[k]))[a][0] != "node-2" {
		t.Error("kept from a node that is there")
	}
	w.gossip.Peers = map[string]Peer{"node-2": {Presence: announce.Gone}}
	w.gained(a, of, time.Unix(1, 0))
	w.gossip.Peers["node-2"] = Peer{Presence: announce.Alive}
	if got := w.recordOf(new(w.services[k]))[a]; !slices.Equal(got, []string{"node-1", "node-2"}) {
		t.Errorf("as if it were recorded: %v", got)
	}
	w.putService(k, kube.Service{Namespace: "ns", Name: "web", Shown: []netip.Addr{a}, Announcers: "192.0.2.7=node-3"})
	if got := w.recordOf(new(w.services[k]))[a]; got[0] != "node-3" {
		t.Errorf("what is recorded since then counts: %v", got)
	}
}

// Of two nodes that both go on announcing an address the one with the last name leaves it to the other.
func TestDispute(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.7")
	k := announce.Key{Namespace: "ns", Name: "web"}
	at := time.Unix(1, 0)
	cases := map[string]struct {
		reason string
		with   string
		seen   []time.Duration
		leaves bool
	}{
		"Last":   {"the other has the first name", "b", []time.Duration{0, quarrel}, true},
		"First":  {"this node has", "z", []time.Duration{0, quarrel}, false},
		"Once":   {"it may be a hand-over", "b", []time.Duration{0, quarrel - 1}, false},
		"Rarely": {"it may be another one", "b", []time.Duration{0, forgetAfter}, false},
		"Gone":   {"what becomes of one that was thought gone is decided elsewhere", "gone", []time.Duration{0, quarrel}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld("m")
			w.gossip.Peers = map[string]Peer{"b": {Presence: announce.Alive}, "gone": {Presence: announce.Gone}, "z": {Presence: announce.Alive}}
			w.putService(k, kube.Service{Namespace: "ns", Name: "web", Shown: []netip.Addr{a}, Announcers: "192.0.2.7=m,b"})
			recorded := func() string { return w.recordOf(new(w.services[k]))[a][0] }
			var now time.Time
			for _, after := range tc.seen {
				now = at.Add(after)
				w.forget(now)
				w.settled()
				w.duplicate(a, tc.with, now)
			}
			if got := recorded() == tc.with; got != tc.leaves || got && !w.dirty() {
				t.Fatalf("%s: left to it: %t", tc.reason, got)
			}
			if !tc.leaves {
				return
			}
			// When it has not been seen for long, this node has the address again, and asks before it claims.
			w.settled()
			now = now.Add(witnessFor)
			if w.forget(now); recorded() != "m" || !w.dirty() || !w.doubted[a] || !w.returning.After(now) {
				t.Errorf("then %s has it; asks first: %t", recorded(), w.doubted[a])
			}
			if w.duplicate(a, tc.with, now); recorded() != tc.with {
				t.Error("claimed though the other has it still")
			}
		})
	}
}
