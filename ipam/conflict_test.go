package ipam

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func TestConflict(t *testing.T) {
	two := testPool("a", []string{"192.0.2.1-192.0.2.2"})
	one := testPool("a", []string{"192.0.2.1"})
	const lost = "192.0.2.1: it is also used by another host"
	contested := func(edit ...func(*Request)) Request {
		r := Request{Key: svc("web"), Families: v4only, Conflicts: addrs("192.0.2.1")}
		for _, e := range edit {
			e(&r)
		}
		return r
	}
	cases := map[string]struct {
		reason  string
		pool    v1beta1.IPAddressPool
		request Request
		// others hold addresses too.
		others []Request
		want   Decision
	}{
		"Exchanged": {
			"nobody has been served on it, so it costs nothing to leave it", two, contested(), nil,
			Decision{Addresses: addrs("192.0.2.2"), Reason: Assigned, Lost: lost},
		},
		"NoOther": {
			"a contested address is better than none: the conflicting host may go", one, contested(), nil,
			Decision{Addresses: addrs("192.0.2.1"), Reason: AddressConflict, Message: "192.0.2.1 is also used by another host " +
				"(see condition fairlead.io/AddressConflict), and there is no other to give: all IPv4 addresses that this Service may have are in use (pool a)"},
		},
		"AskedFor": {
			"who asks for an address knows better", two, contested(func(r *Request) { r.Addresses = addrs("192.0.2.1") }), nil,
			decision(addrs("192.0.2.1"), Assigned, ""),
		},
		"NamedPool": {
			"who asks for a pool gets another of it", two, contested(func(r *Request) { r.Pool = "a" }), nil,
			Decision{Addresses: addrs("192.0.2.2"), Reason: Assigned, Lost: lost},
		},
		"Unreadable": {
			"while it is not known what it asks for, nothing is taken from it", two, contested(func(r *Request) { r.Invalid = "typo" }), nil,
			decision(addrs("192.0.2.1"), InvalidRequest, "typo"),
		},
		"Claimed": {
			"what a claim holds is asked for", two, contested(func(r *Request) { r.Claim = "c" }),
			[]Request{{Key: Key{"ns", "c", Claim}, Shown: addrs("192.0.2.1"), Marked: true}},
			decision(addrs("192.0.2.1"), Assigned, ""),
		},
		"Terminating": {
			"who goes needs no other", two, contested(func(r *Request) { r.Terminating = true }), nil,
			decision(addrs("192.0.2.1"), Assigned, ""),
		},
		"Shared": {
			"who shares joins those of its key where there is no conflict", two, contested(func(r *Request) { r.Sharing = "k"; r.Ports = []Port{{"TCP", 80}} }),
			[]Request{{Key: svc("mail"), Terms: Terms{Sharing: "k", Ports: []Port{{"TCP", 25}}}, Shown: addrs("192.0.2.2"), Marked: true}},
			Decision{Addresses: addrs("192.0.2.2"), Reason: Assigned, Lost: lost},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			st := New(snapshot(tc.pool))
			for _, o := range tc.others {
				st.Adopt(o)
			}
			held := tc.request
			held.Shown, held.Marked = addrs("192.0.2.1"), true
			st.Adopt(held)
			got := Decide(st, tc.request)
			if diff := cmp.Diff(tc.want, got, compareAddr, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("\n%s\nDecide(…): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestQuarantine(t *testing.T) {
	st := New(snapshot(testPool("a", []string{"192.0.2.1-192.0.2.2"})))
	settle := func(name string, edit ...func(*Request)) Decision {
		r := Request{Key: svc(name), Families: v4only}
		for _, e := range edit {
			e(&r)
		}
		return st.Settle(r)
	}
	want := func(reason string, d Decision, as []netip.Addr, why Reason, retry time.Duration) {
		t.Helper()
		if diff := cmp.Diff(Decision{Addresses: as, Reason: why, Retry: retry}, d, compareAddr, cmpopts.EquateEmpty(),
			cmpopts.IgnoreFields(Decision{}, "Message", "Lost")); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", reason, diff)
		}
	}
	conflict := func(r *Request) { r.Conflicts = addrs("192.0.2.1") }
	want("the first", settle("web"), addrs("192.0.2.1"), Assigned, 0)
	want("exchanged", settle("web", conflict), addrs("192.0.2.2"), Assigned, 0)
	st.Left(svc("web"), addrs("192.0.2.1"))
	st.Advance(time.Minute)
	want("it is given to nobody, though it is free", settle("mail"), nil, PoolExhausted, Quarantine-time.Minute)
	want("but to who asks for it", settle("db", func(r *Request) { r.Addresses = addrs("192.0.2.1") }), addrs("192.0.2.1"), Assigned, 0)
	st.Release(svc("db"))
	want("and is quarantined still, when that one goes", settle("mail"), nil, PoolExhausted, Quarantine-time.Minute-time.Duration(1))
	st.Advance(Quarantine - time.Second)
	if got := st.Held(svc("mail")); got != nil {
		t.Errorf("got %v before its time", got)
	}
	st.Advance(Quarantine + time.Second)
	if diff := cmp.Diff(addrs("192.0.2.1"), st.Held(svc("mail")), compareAddr); diff != "" {
		t.Errorf("who waits gets it when the quarantine is over: -want, +got:\n%s", diff)
	}

	// One that could not be exchanged is as soon as it can be.
	want("nothing else is free", settle("mail", conflict), addrs("192.0.2.1"), AddressConflict, 0)
	st.Release(svc("web"))
	if diff := cmp.Diff([][]netip.Addr{addrs("192.0.2.2", "192.0.2.1"), addrs("192.0.2.1")},
		[][]netip.Addr{st.Held(svc("mail")), st.Leaving(svc("mail"))}, compareAddr); diff != "" {
		t.Errorf("it is exchanged for what became free: -want, +got:\n%s", diff)
	}
}
