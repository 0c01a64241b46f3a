package ipam

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// play settles requests in order, then looks at whom that concerns, as the controller does: what was lost is free once that is
// written. It returns who holds what in the end.
func play(t *testing.T, st *State, all map[Key]Request, keys ...Key) map[string][]netip.Addr {
	t.Helper()
	look := func(k Key) {
		st.Settle(all[k])
		st.Left(k, slices.Clone(st.Leaving(k)))
	}
	for _, k := range keys {
		look(k)
	}
	for range 100 {
		others := st.Others()
		if len(others) == 0 {
			out := map[string][]netip.Addr{}
			for k := range all {
				out[k.Name] = st.Held(k)
			}
			return out
		}
		for _, k := range others {
			if _, exists := all[k]; exists {
				look(k)
			}
		}
	}
	t.Fatal("it does not come to rest")
	return nil
}

// TestSwap has Services ask for each other's addresses.
func TestSwap(t *testing.T) {
	pool := testPool("a", []string{"192.0.2.1-192.0.2.4"})
	held := map[string]string{"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
	cases := map[string]struct {
		reason string
		// asks says in which order who asks for what.
		asks [][2]string
		want map[string]string
	}{
		"Two": {
			"each asks for what the other has", [][2]string{{"a", "192.0.2.2"}, {"b", "192.0.2.1"}},
			map[string]string{"a": "192.0.2.2", "b": "192.0.2.1", "c": "192.0.2.3"},
		},
		"Three": {
			"the wishes go round", [][2]string{{"a", "192.0.2.2"}, {"b", "192.0.2.3"}, {"c", "192.0.2.1"}},
			map[string]string{"a": "192.0.2.2", "b": "192.0.2.3", "c": "192.0.2.1"},
		},
		"One": {
			"who has what is asked for does not ask for anything: it stays, and so does the other", [][2]string{{"a", "192.0.2.2"}},
			held,
		},
		"Chain": {
			"where the last of a chain asks for what is free, all move up", [][2]string{{"a", "192.0.2.2"}, {"b", "192.0.2.3"}, {"c", "192.0.2.4"}},
			map[string]string{"a": "192.0.2.2", "b": "192.0.2.3", "c": "192.0.2.4"},
		},
		"Rival": {
			"an older one waits for what would be given up, and asks for it longer: nobody gives up anything for that",
			[][2]string{{"b", "192.0.2.3"}, {"a", "192.0.2.3"}, {"c", "192.0.2.2"}},
			map[string]string{"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			all := map[Key]Request{}
			var requests []Request
			for n, a := range held {
				r := Request{Key: svc(n), Terms: Terms{Created: time.Unix(int64(n[0]), 0)}, Families: v4only, Shown: addrs(a), Marked: true}
				all[r.Key] = r
				requests = append(requests, r)
			}
			st := Load(snapshot(pool), requests)
			var got map[string][]netip.Addr
			for _, ask := range tc.asks {
				r := all[svc(ask[0])]
				r.Addresses = addrs(ask[1])
				all[r.Key] = r
				got = play(t, st, all, r.Key)
			}
			want := map[string][]netip.Addr{}
			for n, a := range tc.want {
				want[n] = addrs(a)
			}
			if diff := cmp.Diff(want, got, compareAddr); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestMoveWhenItCan has a Service that cannot have what it asks for move as soon as it can.
func TestMoveWhenItCan(t *testing.T) {
	web := Request{Key: svc("web"), Families: v4only, Shown: addrs("192.0.2.1"), Marked: true}
	other := Request{Key: svc("other"), Families: v4only, Shown: addrs("198.51.100.1"), Marked: true}
	a, b := testPool("a", []string{"192.0.2.1-192.0.2.2"}), testPool("b", []string{"198.51.100.1"})
	for name, tc := range map[string]struct {
		reason string
		ask    func(*Request)
		// come makes it possible.
		come func(*State)
		want string
	}{
		"Address": {
			"the address becomes free", func(r *Request) { r.Addresses = addrs("198.51.100.1") },
			func(st *State) { st.Release(other.Key) }, "198.51.100.1",
		},
		"FullPool": {
			"the pool gets an address back", func(r *Request) { r.Pool = "b" },
			func(st *State) { st.Release(other.Key) }, "198.51.100.1",
		},
		"NoSuchPool": {
			"the pool is made", func(r *Request) { r.Pool = "c" },
			func(st *State) { st.Reconfigure(snapshot(a, b, testPool("c", []string{"203.0.113.9"}))) }, "203.0.113.9",
		},
		"Claim": {
			"the claim is made", func(r *Request) { r.Claim = "front" },
			func(st *State) {
				st.Settle(Request{Key: Key{"ns", "front", Claim}, Families: v4only, Addresses: addrs("192.0.2.2"), Marked: true})
			}, "192.0.2.2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := Load(snapshot(a, b), []Request{web, other})
			r := web
			tc.ask(&r)
			all := map[Key]Request{r.Key: r, other.Key: other}
			if got := play(t, st, all, r.Key)["web"]; !slices.Equal(got, web.Shown) {
				t.Fatalf("it holds %v while it waits", got)
			}
			tc.come(st)
			if got := play(t, st, all)["web"]; !slices.Equal(got, addrs(tc.want)) {
				t.Errorf("%s: it holds %v, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

// TestPoolGoes follows an address whose pool is deleted or edited.
func TestPoolGoes(t *testing.T) {
	a, b := testPool("a", []string{"192.0.2.1-192.0.2.9"}), testPool("b", []string{"198.51.100.0/30"})
	web := Request{Key: svc("web"), Families: v4only, Shown: addrs("192.0.2.7"), Marked: true}
	type step struct {
		reason string
		// pools from now on; nil for as before.
		pools []v1beta1.IPAddressPool
		// after is how much time has passed.
		after   time.Duration
		restart bool
		want    string
	}
	none := []v1beta1.IPAddressPool{}
	for name, steps := range map[string][]step{
		"DeletedAndMadeAgain": {
			{"deleted", none, 0, false, "192.0.2.7"},
			{"the controller is restarted meanwhile", nil, 0, true, "192.0.2.7"},
			{"made again", []v1beta1.IPAddressPool{a}, 0, false, "192.0.2.7"},
		},
		"DeletedForGood": {
			{"another pool could serve", []v1beta1.IPAddressPool{b}, 0, false, "192.0.2.7"},
			{"not at once", nil, PoolGrace - time.Second, false, "192.0.2.7"},
			{"but in the end", nil, 2 * time.Second, false, "198.51.100.0"},
		},
		"DeletedAtARestart": {
			{"another pool could serve", []v1beta1.IPAddressPool{b}, 0, true, "192.0.2.7"},
			{"in the end", nil, PoolGrace + time.Second, false, "198.51.100.0"},
		},
		"AllDeleted": {
			{"one after the other, as by an uninstallation", []v1beta1.IPAddressPool{b}, 0, false, "192.0.2.7"},
			{"then the last", none, time.Second, false, "192.0.2.7"},
			{"nothing is taken without a replacement", nil, time.Hour, false, "192.0.2.7"},
		},
		"Edited": {
			{"a pool that gives up the address says so on purpose", []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.1"})}, 0, false, "192.0.2.1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := Load(snapshot(a), []Request{web})
			all := map[Key]Request{web.Key: web}
			now := time.Duration(0)
			for _, s := range steps {
				if s.restart {
					r := web
					r.Shown = slices.Clone(st.Held(web.Key))
					config := st.snapshot
					if s.pools != nil {
						config = snapshot(s.pools...)
					}
					st, now = Load(config, []Request{r}), 0
				} else if s.pools != nil {
					st.Reconfigure(snapshot(s.pools...))
				}
				now += s.after
				st.Advance(now)
				if got := play(t, st, all)["web"]; !slices.Equal(got, addrs(s.want)) {
					t.Fatalf("%s: it holds %v, want %s", s.reason, got, s.want)
				}
			}
		})
	}
}
