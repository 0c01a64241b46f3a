package ipam

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/config"
)

// TestPoolsArrive has pools come to a cluster that another implementation has served: what is shown is adopted, or reserved, before
// anybody who waits is served.
func TestPoolsArrive(t *testing.T) {
	pool := testPool("a", []string{"192.0.2.1-192.0.2.2"})
	shows := Request{Key: svc("shows"), Terms: Terms{Created: time.Unix(9, 0)}, Families: v4only, Shown: addrs("192.0.2.1")}
	for name, tc := range map[string]struct {
		reason        string
		shows, waits  Request
		holds, served []netip.Addr
	}{
		"Older": {
			"one that waits is older", shows,
			Request{Key: svc("waits"), Terms: Terms{Created: time.Unix(1, 0)}, Families: v4only}, addrs("192.0.2.1"), addrs("192.0.2.2"),
		},
		"AsksForIt": {
			"one that waits asks for the address", shows,
			Request{Key: svc("waits"), Families: v4only, Addresses: addrs("192.0.2.1")}, addrs("192.0.2.1"), nil,
		},
		"Claim": {
			"even for a claim", shows,
			Request{Key: Key{"ns", "waits", Claim}, Families: v4only, Addresses: addrs("192.0.2.1"), Marked: true}, addrs("192.0.2.1"), nil,
		},
		"OtherClass": {
			"what a Service of another class shows is reserved", Request{Key: svc("shows"), Reserved: true, Shown: addrs("192.0.2.1")},
			Request{Key: svc("waits"), Families: v4only, Addresses: addrs("192.0.2.1")}, addrs("192.0.2.1"), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for how, arrive := range map[string]func() *State{
				"Start": func() *State { return Load(snapshot(pool), []Request{tc.waits, tc.shows}) },
				"Later": func() *State {
					st := Load(snapshot(), []Request{tc.waits, tc.shows})
					st.Reconfigure(snapshot(pool))
					return st
				},
				"Grows": func() *State {
					st := Load(snapshot(testPool("a", []string{"198.51.100.1"})), []Request{tc.shows})
					st.Reconfigure(snapshot(pool))
					st.Settle(tc.waits)
					return st
				},
			} {
				st := arrive()
				if got := st.Held(tc.shows.Key); !slices.Equal(got, tc.holds) {
					t.Errorf("%s, %s: who shows it holds %v, want %v", tc.reason, how, got, tc.holds)
				}
				if got := st.Held(tc.waits.Key); !slices.Equal(got, tc.served) {
					t.Errorf("%s, %s: who waits holds %v, want %v", tc.reason, how, got, tc.served)
				}
			}
		})
	}
}

// TestReserved follows a Service of another class: it is not given anything, nothing is taken from it, and what it does not show any
// more is free.
func TestReserved(t *testing.T) {
	st := Load(snapshot(testPool("a", []string{"192.0.2.1"})), []Request{{Key: svc("other"), Reserved: true, Shown: addrs("192.0.2.1")}})
	web := Request{Key: svc("web"), Families: v4only}
	if d := st.Settle(web); d.Reason != PoolExhausted {
		t.Errorf("it is given %v (%s)", d.Addresses, d.Reason)
	}
	st.Settle(Request{Key: svc("other"), Reserved: true})
	if got := st.Held(web.Key); !slices.Equal(got, addrs("192.0.2.1")) {
		t.Errorf("who waits holds %v, when the other does not show it any more", got)
	}
}

// TestNobodyIsGivenWhatIsShown has pools come and go, and Services of ours, of another implementation's and of another class too. What
// one of the latter shows is given to nobody else, as long as a pool has it and it was shown first.
func TestNobodyIsGivenWhatIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawPools(t)
		st := New(s)
		all := map[Key]Request{}
		check := func(t *rapid.T) {
			for k, r := range all {
				for _, a := range r.Shown {
					for h := range st.on(a) {
						o := all[h.key]
						if h.key != k && !slices.Contains(o.Shown, a) {
							t.Fatalf("%s, which %s shows, is held by %s", a, k, h.key)
						}
					}
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": check,
			"foreign": func(t *rapid.T) {
				k := Key{"foreign", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"), Service}
				a := rapid.SampledFrom(space).Draw(t, "address")
				if _, held := st.holders[a]; held {
					return // no other implementation gives what is in use
				}
				if _, exists := all[k]; exists {
					return
				}
				r := Request{Key: k, Families: []config.Family{config.FamilyOf(a)}, Shown: []netip.Addr{a}, Reserved: rapid.Bool().Draw(t, "class")}
				r.Created = time.Unix(int64(rapid.IntRange(0, 200).Draw(t, "age")), 0)
				for _, o := range all {
					if slices.Contains(o.Shown, a) {
						return
					}
				}
				all[k] = r
				st.Settle(r)
			},
			"ours": func(t *rapid.T) {
				r := drawRequest(t)
				r.Claim = ""
				all[r.Key] = r
				st.Settle(r)
				st.Left(r.Key, slices.Clone(st.Leaving(r.Key)))
			},
			"gone": func(t *rapid.T) {
				for _, k := range []Key{drawKey(t), {"foreign", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"), Service}} {
					delete(all, k)
					st.Release(k)
				}
			},
			"reconfigure": func(t *rapid.T) {
				s, _ := drawPools(t)
				st.Reconfigure(s)
			},
			"time": func(*rapid.T) { st.Advance(time.Duration(st.clock) + time.Minute) },
		})
	})
}
