package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

func secret(length int, fill byte) *corev1.Secret {
	s := kube.NewGossipSecret("fairlead-system", func([]byte) {})
	key := make([]byte, length)
	for i := range key {
		key[i] = fill
	}
	for name := range s.Data {
		s.Data[name] = key
	}
	return s
}

// What is known of other nodes, as package announce sees it.
func TestPresence(t *testing.T) {
	alive := Peer{Presence: announce.Alive}
	cases := map[string]struct {
		reason string
		keys   []*corev1.Secret
		gossip *Gossip
		want   map[string]Peer // of node-1 and node-2, which has links eth0 and eth1
	}{
		"NoKey": {
			"while there is no key the speakers do not talk, and what the API server says counts",
			nil, nil, map[string]Peer{"node-1": {}, "node-2": {}},
		},
		"NotHeard": {
			"a node that nothing is heard of yet is away: it loses nothing, and gains nothing; this one is alive",
			[]*corev1.Secret{secret(32, 1)}, nil, map[string]Peer{"node-1": alive, "node-2": {Presence: announce.Away}},
		},
		"Heard": {
			"what is heard counts", []*corev1.Secret{secret(32, 1)},
			&Gossip{Peers: map[string]Peer{"node-2": {Presence: announce.Gone, Impaired: true}}},
			map[string]Peer{"node-1": alive, "node-2": {Presence: announce.Gone, Impaired: true}},
		},
		"Self": {
			"but of this node itself", []*corev1.Secret{secret(32, 1)},
			&Gossip{Peers: map[string]Peer{"node-1": {Presence: announce.Gone}, "node-2": alive}},
			map[string]Peer{"node-1": alive, "node-2": alive},
		},
		"Links": {
			"of links those count that the speaker says are usable", []*corev1.Secret{secret(32, 1)},
			&Gossip{Peers: map[string]Peer{"node-2": {Presence: announce.Alive, Links: []string{"eth1", "eth9"}}}},
			map[string]Peer{"node-1": alive, "node-2": {Presence: announce.Alive, Links: []string{"eth1"}}},
		},
		"NoLinks": {
			"none, if it says so", []*corev1.Secret{secret(32, 1)},
			&Gossip{Peers: map[string]Peer{"node-2": {Presence: announce.Alive, Links: []string{}}}},
			map[string]Peer{"node-1": alive, "node-2": {Presence: announce.Alive, Links: []string{}}},
		},
		"Failed": {
			"if the speakers cannot talk, what the API server says counts again", []*corev1.Secret{secret(32, 1)},
			&Gossip{Failed: true, Peers: map[string]Peer{"node-2": {Presence: announce.Gone, Impaired: true, Links: []string{}}}},
			map[string]Peer{"node-1": {}, "node-2": {}},
		},
		"ShortKey": {
			"a key that cannot be used is none", []*corev1.Secret{secret(5, 1)}, nil, map[string]Peer{"node-1": {}, "node-2": {}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, w := testAgent(nil), newWorld("node-1")
			for _, n := range []string{"node-1", "node-2"} {
				a.see(w, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}})
				a.see(w, &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: v1beta1.SpeakerStatusStatus{Interfaces: interfaces(n, historyLinks)}})
			}
			for _, k := range tc.keys {
				a.see(w, k)
			}
			if tc.gossip != nil {
				a.SetGossip(*tc.gossip)
				a.drain(w)
			}
			got := map[string]Peer{}
			for _, n := range w.view() {
				p := Peer{Presence: n.Presence, Impaired: n.Impaired}
				if n.Name == "node-2" && len(n.Links) < len(historyLinks) {
					p.Links = []string{}
					for _, l := range n.Links {
						p.Links = append(p.Links, l.Name)
					}
				}
				got[n.Name] = p
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// The key that the speakers use is the last one that could be used.
func TestKey(t *testing.T) {
	a, w := testAgent(nil), newWorld("node-1")
	const aSecret = 8
	for _, step := range []struct {
		reason  string
		do      func() bool
		want    byte
		changes bool
	}{
		{"a key comes", func() bool { return a.see(w, secret(32, 1)) }, 1, true},
		{"it comes again", func() bool { return a.see(w, secret(32, 1)) }, 1, false},
		{"another one", func() bool { return a.see(w, secret(32, 2)) }, 2, true},
		{"one that cannot be used leaves the former", func() bool { return a.see(w, secret(7, 3)) }, 2, false},
		{"and so does none", func() bool { return a.see(w, secret(0, 0)) }, 2, false},
		{"one that goes is remembered", func() bool { return a.miss(w, secret(32, 2), aSecret) }, 2, false},
		{"until there is another", func() bool { return a.see(w, secret(16, 4)) }, 4, true},
	} {
		if changes := step.do(); changes != step.changes || len(w.key) == 0 || w.key[0] != step.want {
			t.Errorf("%s: key %v, want %d, and changes %t, want %t", step.reason, w.key, step.want, changes, step.changes)
		}
	}
}

// What is heard leads to a decision if it means something.
func TestHeard(t *testing.T) {
	set := func(g Gossip) func(*running) { return func(r *running) { r.SetGossip(g) } }
	two := func(p Peer) map[string]Peer { return map[string]Peer{"node-2": p} }
	alive, unready := two(Peer{Presence: announce.Alive}), objects(slice("fairlead-system", "speaker-x", "speaker", "node-1"))
	key, recorded := objects(secret(32, 1)), objects(recordedService("node-2", "node-1"))
	cases := map[string]struct {
		reason string
		story  story
		want   []string
	}{
		"Same": {
			"what is heard again is no news",
			story{{0, both(key, set(Gossip{Peers: alive}))}, {time.Second, set(Gossip{Peers: two(Peer{Presence: announce.Alive})})}},
			[]string{"0s fresh web: Announced node-1"},
		},
		"Words": {
			"what a speaker says of itself is",
			story{{0, both(key, recorded, set(Gossip{Peers: alive}))}, {time.Second, set(Gossip{Peers: two(Peer{Presence: announce.Alive, Impaired: true})})},
				{time.Second, set(Gossip{Peers: two(Peer{Presence: announce.Alive, Links: []string{"eth0"}})})}, {time.Second, set(Gossip{Peers: two(Peer{Presence: announce.Alive, Links: []string{}})})}},
			[]string{"0s yielding web: Announced node-2", "1s fresh web: Announced node-1", "2s yielding web: Announced node-2", "3s fresh web: Announced node-1"},
		},
		"Away": {
			"who is away keeps what it has, and this one stands in; then it is gone",
			story{{0, both(key, recorded, set(Gossip{Peers: alive}))}, {10 * time.Second, set(Gossip{Peers: two(Peer{Presence: announce.Away})})},
				{time.Second, set(Gossip{Peers: two(Peer{Presence: announce.Gone})})}},
			[]string{"0s yielding web: Announced node-2", "10s standin web: Announced node-2", "11s fresh web: Announced node-1"},
		},
		"BeforeItIsHeard": {
			"a speaker that has just started takes nothing from who is not heard yet: it stands in",
			story{{0, both(recorded, unready)}, {10 * time.Second, key}},
			[]string{"0s fresh web: Announced node-1", "10s standin web: Announced node-2"},
		},
		"Failed": {
			"where the speakers cannot talk, one counts as lost whose speaker is not ready",
			story{{0, both(key, recorded, unready, set(Gossip{Peers: alive}))}, {10 * time.Second, set(Gossip{Failed: true})}, {time.Second, set(Gossip{Peers: alive})}},
			[]string{"0s yielding web: Announced node-2", "10s fresh web: Announced node-1", "11s yielding web: Announced node-2"},
		},
		"Heals": {
			"who comes back may have told neighbours otherwise: all is told again, also if nothing else has changed",
			story{{0, both(key, set(Gossip{Peers: alive}))}, {time.Second, set(Gossip{Peers: alive, Heals: 1})}, {time.Second, set(Gossip{Peers: alive, Heals: 1})}, {time.Second, set(Gossip{Peers: alive, Heals: 3})}},
			[]string{"0s fresh web: Announced node-1", "1s fresh again=1", "3s fresh again=2"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.story.tell(t)); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	a, w := testAgent(nil), newWorld("node-1")
	for n, at := range map[string]string{"node-1": "192.0.2.11", "node-2": "192.0.2.12", "node-3": "192.0.2.13", "node-4": ""} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}}
		if at != "" {
			node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: at}}
		}
		a.see(w, node)
	}
	for _, n := range []string{"node-1", "node-2", "node-4", "node-5"} {
		a.see(w, &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: n}})
	}
	self, peers := w.addresses()
	if self != addr("192.0.2.11") {
		t.Errorf("this node is at %s", self)
	}
	compare := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(map[string]netip.Addr{"node-2": addr("192.0.2.12")}, peers, compare); diff != "" {
		t.Errorf("nodes that had a speaker, and have an address: -want, +got:\n%s", diff)
	}
}
