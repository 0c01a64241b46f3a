package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// What happens.

func objects(o ...client.Object) func(*running) { return func(r *running) { r.put(o...) } }

func sighted(mac string, before bool) func(*running) {
	return func(r *running) {
		r.Sighted(addr("192.0.2.7"), Host{MAC: mac, Link: "eth0", Before: before, Seen: time.Now()})
	}
}

func found(p announce.Presence) func(*running) {
	return func(r *running) { r.SetGossip(Gossip{Peers: map[string]Peer{"node-2": {Presence: p}}}) }
}

// both has several things happen before anything is decided.
func both(f ...func(*running)) func(*running) {
	return func(r *running) {
		all := make(chan struct{})
		r.post(func(*world) { <-all })
		synctest.Wait() // it waits, and takes what follows all at once
		for _, f := range f {
			f(r)
		}
		close(all)
	}
}

// answers has node-2 answer when it is asked whether it announces the address.
func answers(announces, returning bool) func(*running) {
	return func(r *running) { r.theirs = &theirAnswer{announces, returning} }
}

// reports has node-2 report a host that uses ns/web's address; none for the empty MAC.
func reports(mac string) func(*running) {
	s := &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: "node-2"}, Status: v1beta1.SpeakerStatusStatus{Interfaces: interfaces("node-2", historyLinks)}}
	if mac != "" {
		s.Status.Conflicts = []v1beta1.AddressConflict{{Address: "192.0.2.7", Namespace: "ns", Service: "web", MAC: mac, Interface: "eth0"}}
	}
	return objects(s)
}

// usedService is recordedService, and its address has been announced.
func usedService(nodes ...string) *corev1.Service {
	s := recordedService(nodes...)
	s.Annotations[kube.AnnotationInUse] = "192.0.2.7"
	return s
}

func gone(r *running) { r.drop(aService, name{"ns", "web"}) }

func nothing(*running) {}

func TestConflictingHost(t *testing.T) {
	const host, other = "02:ff:00:00:00:01", "02:ff:00:00:00:02"
	second := mac("node-2", "eth0").String()
	key := objects(kube.NewGossipSecret("fairlead-system", func([]byte) {}))
	cases := map[string]struct {
		reason string
		story  story
		want   []string
	}{
		"Before": {
			"an address that a host had is not announced, and asked for again when the host was not seen for five minutes",
			story{{time.Second, sighted(host, true)}, {forgetHost, nothing}, {time.Hour, nothing}},
			[]string{
				"1s web: AddressConflict node-1 " + host + " conflicts=1",
				"5m1s fresh web: AddressConflict node-1 " + host + " conflicts=1", "5m6s fresh web: Announced node-1",
			},
		},
		"BeforeAgain": {
			"who is found again then is told of again",
			story{{0, sighted(host, true)}, {forgetHost + time.Second, sighted(host, true)}},
			[]string{
				"0s web: AddressConflict node-1 " + host + " conflicts=1",
				"5m0s fresh web: AddressConflict node-1 " + host + " conflicts=1",
				"5m1s web: AddressConflict node-1 " + host + " conflicts=1",
			},
		},
		"Meanwhile": {
			"one who comes while it is announced is told of, once, until not seen for five minutes",
			story{{0, sighted(host, false)}, {time.Minute, sighted(host, false)}, {forgetHost, nothing}},
			[]string{"0s fresh web: Announced node-1 " + host + " conflicts=1", "6m0s fresh web: Announced node-1"},
		},
		"Another": {
			"another one is news when the first has not been seen for a while",
			story{{0, sighted(host, false)}, {time.Minute, sighted(other, false)}, {time.Minute, sighted(other, false)}},
			[]string{"0s fresh web: Announced node-1 " + host + " conflicts=1", "2m0s fresh web: Announced node-1 " + other + " conflicts=1"},
		},
		"Two": {
			"of two that claim it in turns one is told of, and the other is no news when both have gone",
			story{
				{0, sighted(host, false)}, {time.Minute, sighted(other, false)}, {time.Second, sighted(host, false)},
				{time.Minute, sighted(other, false)}, {forgetHost, nothing},
			},
			[]string{"0s fresh web: Announced node-1 " + host + " conflicts=1", "6m1s fresh web: Announced node-1"},
		},
		"OnTwoLinks": {
			"who was found before is not announced against for being seen on another link too",
			story{{0, both(sighted(host, true), sighted(host, false))}, {time.Second, sighted(host, false)}},
			[]string{"0s web: AddressConflict node-1 " + host + " conflicts=1"},
		},
		"Found": {
			"who was seen, and then found by probing, counts as found",
			story{{0, sighted(host, false)}, {time.Second, sighted(host, true)}},
			[]string{"0s fresh web: Announced node-1 " + host + " conflicts=1", "1s web: AddressConflict node-1 " + host + " conflicts=1"},
		},
		"Elsewhere": {
			"it says nothing of what another node announces",
			story{{0, sighted(host, true)}, {time.Second, objects(recordedService("node-2"))}},
			[]string{"0s web: AddressConflict node-1 " + host + " conflicts=1", "1s web: Announced node-2 " + host + " conflicts=1"},
		},
		"Gone": {
			"with the address its host is forgotten",
			story{{0, sighted(host, true)}, {time.Second, gone}, {time.Second, objects(recordedService("node-1"))}, {time.Hour, nothing}},
			[]string{"0s web: AddressConflict node-1 " + host + " conflicts=1", "1s web:", "2s fresh web: Announced node-1"},
		},
		"TooLate": {
			"one of an address that is gone already is not remembered",
			story{{0, gone}, {time.Second, sighted(host, true)}, {time.Second, objects(recordedService("node-1"))}},
			[]string{"0s web:", "2s fresh web: Announced node-1"},
		},
		"Speaker": {
			"another speaker is no conflicting host: it is asked, and announces nothing; the address, for which this one was probing, is announced",
			story{{0, both(key, found(announce.Alive))}, {0, answers(false, false)}, {time.Second, sighted(second, true)}, {time.Hour, nothing}},
			[]string{"0s fresh web: Announced node-1", "1s own insists=1 web: Announced node-1"},
		},
		"SpeakerSilent": {
			"one that does not answer announces nothing, as far as is known",
			story{{0, both(key, found(announce.Alive))}, {time.Second, sighted(second, true)}, {time.Hour, nothing}},
			[]string{"0s fresh web: Announced node-1", "3s own insists=1 web: Announced node-1"},
		},
		"SpeakerToo": {
			"one that does is left the address in the end, as it has not heard the same and its name is first; here it is not",
			story{{0, both(key, found(announce.Alive))}, {0, answers(true, false)}, {time.Second, sighted(second, false)}, {grace, sighted(second, false)}, {time.Hour, nothing}},
			[]string{"0s fresh web: Announced node-1", "1s duplicate node-2", "11s duplicate node-2"},
		},
		"Forged": {
			"frames with the MAC of a speaker that announces nothing change nothing, however many come",
			func() story {
				s := story{{0, both(key, found(announce.Alive))}, {0, answers(false, false)}}
				for range 200 {
					s = append(s, story{{8 * time.Second, sighted(second, false)}}...)
				}
				return s
			}(),
			[]string{"0s fresh web: Announced node-1"},
		},
		"ForgedOfOneGone": {
			"nor with that of one that is gone",
			func() story {
				s := story{{0, both(key, objects(recordedService("node-2", "node-1")), found(announce.Gone))}}
				for range 200 {
					s = append(s, story{{8 * time.Second, sighted(second, false)}}...)
				}
				return s
			}(),
			[]string{"0s fresh web: Announced node-1"},
		},
		"InUse": {
			"an address that was announced once is in use, though its Service had no endpoint meanwhile: who is found then is told of, and nothing is exchanged",
			story{
				{0, objects(usedService("node-1", "node-2"))}, {time.Minute, objects(slice("ns", "web-1", "web"))},
				{time.Minute, objects(slice("ns", "web-1", "web", "node-1"))}, {0, sighted(other, true)},
			},
			[]string{
				"0s own web: Announced node-1", "1m0s web: NoEndpoints", "2m0s own web: Announced node-1",
				"2m0s own insists=1 web: Announced node-1 " + other + " conflicts=1",
			},
		},
		"ForgedWhileProbing": {
			"while it is probed for, though the Service says already that it is in use: this node announces it again",
			story{
				{0, both(key, found(announce.Alive))}, {0, answers(false, false)}, {10 * time.Millisecond, objects(usedService("node-1", "node-2"))},
				{time.Second, sighted(second, true)}, {time.Hour, nothing},
			},
			[]string{"0s fresh web: Announced node-1", "10ms own web: Announced node-1", "1.01s own insists=1 web: Announced node-1"},
		},
		"FoundWhileProbing": {
			"a host that answers late does not take it from who is served already: this node announces it on",
			story{{10 * time.Millisecond, objects(usedService("node-1", "node-2"))}, {time.Second, sighted(host, true)}},
			[]string{"10ms own web: Announced node-1", "1.01s own insists=1 web: Announced node-1 " + host + " conflicts=1"},
		},
		"Reported": {
			"what another node reports of an address that it announces is known here too",
			story{{0, objects(recordedService("node-2"))}, {time.Second, reports(other)}, {time.Second, reports("")}},
			[]string{"0s yielding web: Announced node-2", "1s yielding web: Announced node-2 " + other, "2s yielding web: Announced node-2"},
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
