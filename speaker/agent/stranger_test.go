package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// What happens.

func objects(o ...client.Object) func(*running) { return func(r *running) { r.put(o...) } }

func sighted(mac string, before bool) func(*running) {
	return func(r *running) {
		r.Sighted(addr("192.0.2.7"), Stranger{MAC: mac, Link: "eth0", Before: before, Seen: time.Now()})
	}
}

func found(p announce.Presence) func(*running) {
	return func(r *running) { r.SetGossip(Gossip{Peers: map[string]Peer{"node-2": {Presence: p}}}) }
}

// both has several things happen before anything is decided.
func both(f ...func(*running)) func(*running) {
	return func(r *running) {
		all := make(chan struct{})
		r.enqueue(func(*world) { <-all })
		for _, f := range f {
			f(r)
		}
		close(all)
	}
}

func gone(r *running) { r.drop(aService, name{"ns", "web"}) }

func nothing(*running) {}

func TestStranger(t *testing.T) {
	const stranger, other = "02:ff:00:00:00:01", "02:ff:00:00:00:02"
	second := mac("node-2", "eth0").String()
	key := objects(kube.NewGossipSecret("fairlead-system", func([]byte) {}))
	cases := map[string]struct {
		reason string
		story  story
		want   []string
	}{
		"Before": {
			"an address that a stranger had is not announced, and asked for again when the stranger was not seen for five minutes",
			story{{time.Second, sighted(stranger, true)}, {forgetAfter, nothing}, {time.Hour, nothing}},
			[]string{
				"1s web: AddressConflict node-1 " + stranger + " conflicts=1",
				"5m1s fresh web: AddressConflict node-1 " + stranger + " conflicts=1", "5m6s fresh web: Announced node-1",
			},
		},
		"BeforeAgain": {
			"who is found again then is told of again",
			story{{0, sighted(stranger, true)}, {forgetAfter + time.Second, sighted(stranger, true)}},
			[]string{
				"0s web: AddressConflict node-1 " + stranger + " conflicts=1",
				"5m0s fresh web: AddressConflict node-1 " + stranger + " conflicts=1",
				"5m1s web: AddressConflict node-1 " + stranger + " conflicts=1",
			},
		},
		"Meanwhile": {
			"one who comes while it is announced is told of, once, until not seen for five minutes",
			story{{0, sighted(stranger, false)}, {time.Minute, sighted(stranger, false)}, {forgetAfter, nothing}},
			[]string{"0s fresh web: Announced node-1 " + stranger + " conflicts=1", "6m0s fresh web: Announced node-1"},
		},
		"Another": {
			"another one is news when the first has not been seen for a while",
			story{{0, sighted(stranger, false)}, {time.Minute, sighted(other, false)}, {time.Minute, sighted(other, false)}},
			[]string{"0s fresh web: Announced node-1 " + stranger + " conflicts=1", "2m0s fresh web: Announced node-1 " + other + " conflicts=1"},
		},
		"Two": {
			"of two that claim it in turns one is told of, and the other is no news when both have gone",
			story{
				{0, sighted(stranger, false)}, {time.Minute, sighted(other, false)}, {time.Second, sighted(stranger, false)},
				{time.Minute, sighted(other, false)}, {forgetAfter, nothing},
			},
			[]string{"0s fresh web: Announced node-1 " + stranger + " conflicts=1", "6m1s fresh web: Announced node-1"},
		},
		"OnTwoLinks": {
			"who was found before is not announced against for being seen on another link too",
			story{{0, both(sighted(stranger, true), sighted(stranger, false))}, {time.Second, sighted(stranger, false)}},
			[]string{"0s web: AddressConflict node-1 " + stranger + " conflicts=1"},
		},
		"Found": {
			"who was seen, and then found by probing, counts as found",
			story{{0, sighted(stranger, false)}, {time.Second, sighted(stranger, true)}},
			[]string{"0s fresh web: Announced node-1 " + stranger + " conflicts=1", "1s web: AddressConflict node-1 " + stranger + " conflicts=1"},
		},
		"Elsewhere": {
			"it says nothing of what another node announces",
			story{{0, sighted(stranger, true)}, {time.Second, objects(recordedService("node-2"))}},
			[]string{"0s web: AddressConflict node-1 " + stranger + " conflicts=1", "1s web: Announced node-2 " + stranger + " conflicts=1"},
		},
		"Gone": {
			"with the address its stranger is forgotten",
			story{{0, sighted(stranger, true)}, {time.Second, gone}, {time.Second, objects(recordedService("node-1"))}, {time.Hour, nothing}},
			[]string{"0s web: AddressConflict node-1 " + stranger + " conflicts=1", "1s web:", "2s fresh web: Announced node-1"},
		},
		"TooLate": {
			"one of an address that is gone already is not remembered",
			story{{0, gone}, {time.Second, sighted(stranger, true)}, {time.Second, objects(recordedService("node-1"))}},
			[]string{"0s web:", "2s fresh web: Announced node-1"},
		},
		"Speaker": {
			"another speaker is no stranger; the two have not heard the same yet",
			story{{0, both(key, found(announce.Alive))}, {time.Second, sighted(second, true)}, {time.Second, sighted(second, false)}, {time.Hour, nothing}},
			[]string{"0s fresh web: Announced node-1", "1s duplicate node-2", "2s duplicate node-2"},
		},
		"Witnessed": {
			"a speaker that announces is not gone: for so long what the API server says of it counts",
			story{
				{0, both(key, objects(recordedService("node-2", "node-1")), found(announce.Gone))},
				{time.Second, sighted(second, false)}, {witnessFor, nothing}, {time.Hour, nothing},
			},
			[]string{
				"0s fresh web: Announced node-1", "1s duplicate node-2", "1s yielding web: Announced node-2 retell=1", "31s retell=1",
				"1m31s fresh web: Announced node-1 retell=1",
			},
		},
		"WitnessedOn": {
			"from when it was seen last",
			story{
				{0, both(key, objects(recordedService("node-2", "node-1")), found(announce.Gone))},
				{time.Second, sighted(second, false)}, {time.Second, sighted(second, false)}, {witnessFor, nothing},
			},
			[]string{
				"0s fresh web: Announced node-1", "1s duplicate node-2", "1s yielding web: Announced node-2 retell=1",
				"2s duplicate node-2", "31s retell=1", "1m32s fresh web: Announced node-1 retell=1",
			},
		},
		"FoundOut": {
			"what the speakers find out goes before what was seen, and is not overridden later",
			story{
				{0, both(key, objects(recordedService("node-2", "node-1")), found(announce.Gone))},
				{time.Second, sighted(second, false)}, {10 * time.Second, found(announce.Alive)}, {time.Second, found(announce.Gone)}, {time.Hour, nothing},
			},
			[]string{
				"0s fresh web: Announced node-1", "1s duplicate node-2", "1s yielding web: Announced node-2 retell=1",
				"11s yielding web: Announced node-2 retell=1", "12s fresh web: Announced node-1 retell=1",
			},
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
