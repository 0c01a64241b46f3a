package flows

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

var (
	addr  = netip.MustParseAddr("192.0.2.100")
	addr6 = netip.MustParseAddr("2001:db8::100")
	nodeA = netip.MustParseAddr("192.0.2.1")
	nodeB = netip.MustParseAddr("192.0.2.2")
)

func TestDiff(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	in := now.Add
	for name, tc := range map[string]struct {
		reason string
		has    table
		left   map[netip.Addr]bool
		want   []announce.Pass
		change change
	}{
		"New":      {"an address has moved here", nil, nil, []announce.Pass{{Addr: addr, To: nodeA, Until: in(time.Minute)}}, change{add: []announce.Pass{{Addr: addr, To: nodeA, Until: in(time.Minute)}}}},
		"Same":     {"nothing to do", table{addr: {nodeA, in(time.Minute)}}, nil, []announce.Pass{{Addr: addr, To: nodeA, Until: in(time.Minute)}}, change{}},
		"Lease":    {"without an end it has a lease", nil, nil, []announce.Pass{{Addr: addr, To: nodeA}}, change{add: []announce.Pass{{Addr: addr, To: nodeA, Until: in(lease)}}}},
		"LeaseRun": {"which is renewed when half of it is over", table{addr: {nodeA, in(lease/2 - 1)}}, nil, []announce.Pass{{Addr: addr, To: nodeA}}, change{remove: []netip.Addr{addr}, add: []announce.Pass{{Addr: addr, To: nodeA, Until: in(lease)}}}},
		"LeaseOn":  {"and not before", table{addr: {nodeA, in(lease / 2)}}, nil, []announce.Pass{{Addr: addr, To: nodeA}}, change{}},
		"Other":    {"another node is next now", table{addr: {nodeA, in(time.Minute)}}, nil, []announce.Pass{{Addr: addr, To: nodeB, Until: in(time.Minute)}}, change{remove: []netip.Addr{addr}, add: []announce.Pass{{Addr: addr, To: nodeB, Until: in(time.Minute)}}}},
		"Over":     {"nothing is passed on any more", table{addr: {nodeA, in(time.Minute)}}, nil, nil, change{remove: []netip.Addr{addr}}},
		"Left":     {"what a former process left stays", table{addr: {nodeA, in(time.Minute)}}, map[netip.Addr]bool{addr: true}, nil, change{}},
		"Expired":  {"the kernel has removed it by itself", table{addr: {nodeA, now}}, nil, nil, change{}},
		"Again":    {"and it is to be there again", table{addr: {nodeA, now}}, nil, []announce.Pass{{Addr: addr, To: nodeA, Until: in(time.Minute)}}, change{add: []announce.Pass{{Addr: addr, To: nodeA, Until: in(time.Minute)}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.has.diff(tc.want, tc.left, now)
			if diff := cmp.Diff(tc.change, got, cmp.AllowUnexported(change{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// fake is a kernel that refuses what the real one does: to remove what is not there, to add what is there, and everything while broken.
type fake struct {
	has    map[netip.Addr]entry
	hops   int
	broken error
	there  bool
}

func (f *fake) expire(now time.Time) {
	maps.DeleteFunc(f.has, func(_ netip.Addr, e entry) bool { return !e.until.After(now) })
}

func (f *fake) prepare(hops int, now time.Time) (table, error) {
	if f.broken != nil {
		return nil, f.broken
	}
	f.expire(now)
	f.there, f.hops = true, hops
	return maps.Clone(f.has), nil
}

func (f *fake) apply(c change, now time.Time) error {
	if f.broken != nil {
		return f.broken
	}
	if !f.there {
		return errors.New("there is no table")
	}
	f.expire(now)
	after := maps.Clone(f.has)
	for _, a := range c.remove {
		if _, ok := after[a]; !ok {
			return fmt.Errorf("there is no %s", a)
		}
		delete(after, a)
	}
	for _, p := range c.add {
		if _, ok := after[p.Addr]; ok {
			return fmt.Errorf("there is %s already", p.Addr)
		}
		after[p.Addr] = entry{p.To, p.Until}
	}
	f.has = after
	return nil
}

func (f *fake) remove() error           { f.there, f.has = false, map[netip.Addr]entry{}; return nil }
func (f *fake) packets() (uint64, bool) { return 0, f.there }

// TestConverge has a table converge to whatever is desired, with restarts and a kernel that fails at times, at random.
func TestConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, now := &fake{has: map[netip.Addr]entry{}}, time.Unix(1_000_000, 0)
		h, left := &half{kernel: k}, map[netip.Addr]entry{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "seconds")) * time.Second)
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				k.expire(now)
				h, left = &half{kernel: k}, maps.Clone(k.has)
			}
			if rapid.IntRange(0, 9).Draw(t, "flushed") == 0 { // by another program
				_ = k.remove()
				clear(left)
			}
			if rapid.Bool().Draw(t, "looks") {
				look(map[config.Family]*half{config.IPv4: h})
			}
			k.broken = nil
			if rapid.IntRange(0, 9).Draw(t, "broken") == 0 {
				k.broken = errors.New("broken")
			}
			var want []announce.Pass
			for i := range byte(4) {
				if a := (netip.AddrFrom4([4]byte{192, 0, 2, 100 + i})); rapid.Bool().Draw(t, "passes") {
					p := announce.Pass{Addr: a, To: []netip.Addr{nodeA, nodeB}[rapid.IntRange(0, 1).Draw(t, "to")]}
					if rapid.Bool().Draw(t, "ends") {
						p.Until = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "until")) * time.Second)
					}
					want = append(want, p)
				}
			}
			hops := rapid.IntRange(1, 2).Draw(t, "hops")
			if err := h.converge(want, hops, now); err != nil {
				if k.broken == nil {
					t.Fatal(err)
				}
				continue
			}
			if !k.there { // nobody has looked, and there was nothing to change
				if c := h.is.diff(want, h.left, now); len(c.add)+len(c.remove) > 0 {
					t.Fatalf("there is no table, and this to be done: %v", c)
				}
				continue
			}
			k.expire(now)
			is := maps.Clone(k.has)
			for _, p := range want {
				got := is[p.Addr]
				delete(left, p.Addr)
				delete(is, p.Addr)
				if got.to != p.To || got.until.Before(now.Add(lease/2)) && (p.Until.IsZero() || got.until.Before(p.Until)) {
					t.Fatalf("%s goes to %v, want %v", p.Addr, got, p)
				}
			}
			maps.DeleteFunc(left, func(_ netip.Addr, e entry) bool { return !e.until.After(now) })
			if !maps.Equal(is, left) {
				t.Fatalf("beyond what is desired there is %v, and a former process left %v", is, left)
			}
			if k.broken == nil && k.hops != hops {
				t.Fatalf("%d hops, want %d", k.hops, hops)
			}
		}
	})
}

// TestDriver: Set waits for the kernel, though not for one that fails, which is tried again; a lease is renewed; a table without
// entries is removed at the end.
func TestDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernels := map[config.Family]*fake{config.IPv4: {has: map[netip.Addr]entry{}}, config.IPv6: {has: map[netip.Addr]entry{}}}
		changes := 0
		d := New(logr.Discard(), func() { changes++ })
		d.open = func(f config.Family) kernel { return kernels[f] }
		stop := start(t, d)
		v4, v6 := announce.Pass{Addr: addr, To: nodeA}, announce.Pass{Addr: addr6, To: netip.MustParseAddr("2001:db8::1")}
		began := time.Now()
		d.Set(&announce.Passing{Passes: []announce.Pass{v4}, Hops: 1})
		if kernels[config.IPv4].has[addr].to != nodeA || time.Since(began) != 0 {
			t.Errorf("after Set, which took %s, the kernel has %v", time.Since(began), kernels[config.IPv4].has)
		}
		time.Sleep(3 * lease)
		if now := time.Now(); !kernels[config.IPv4].has[addr].until.After(now) {
			t.Error("the lease was not renewed")
		}
		_ = kernels[config.IPv4].remove() // by another program
		time.Sleep(2 * renewal)
		if _, there := kernels[config.IPv4].has[addr]; !there {
			t.Error("a table that was removed was not made again")
		}
		kernels[config.IPv4].broken = errors.New("broken")
		d.Set(&announce.Passing{Passes: []announce.Pass{v6}, Hops: 1})
		if o := d.Observed(); o.Error == nil || kernels[config.IPv6].has[addr6].to != v6.To {
			t.Errorf("a family that fails keeps the other from its work: %v, %v", o, kernels[config.IPv6].has)
		}
		kernels[config.IPv6].broken = errors.New("broken")
		d.Set(&announce.Passing{Passes: []announce.Pass{v6}, Hops: 2})
		if o := d.Observed(); text(o.Error) != "broken" {
			t.Errorf("both fail alike, and it says %q", text(o.Error))
		}
		kernels[config.IPv4].broken, kernels[config.IPv6].broken = nil, nil
		time.Sleep(2 * retry)
		if o := d.Observed(); o.Error != nil || o.Addresses != 1 || len(kernels[config.IPv4].has) != 0 {
			t.Errorf("after a failure that is over: %v, %v", o, kernels[config.IPv4].has)
		}
		if changes == 0 {
			t.Error("nobody was told of a change")
		}
		stop()
		if kernels[config.IPv4].there || !kernels[config.IPv6].there {
			t.Errorf("at the end there are tables: IPv4 without entries %t, IPv6 with one %t", kernels[config.IPv4].there, kernels[config.IPv6].there)
		}
		began = time.Now()
		d.Set(&announce.Passing{})
		if time.Since(began) != patience {
			t.Errorf("Set waits %s for a driver that does not run, want %s", time.Since(began), patience)
		}
	})
}

func start(t *testing.T, d *Driver) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
