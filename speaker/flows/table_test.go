package flows

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
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
	mu   sync.Mutex
	has  map[netip.Addr]entry
	own  table
	hops int
	// aggregates are there until then.
	aggregates []netip.Prefix
	until      time.Time
	broken     error
	there      bool
}

func (f *fake) expire(now time.Time) {
	maps.DeleteFunc(f.has, func(_ netip.Addr, e entry) bool { return !e.until.After(now) })
}

func (f *fake) prepare(hops int, now time.Time) (next, own table, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return nil, nil, f.broken
	}
	f.expire(now)
	if f.own == nil {
		f.own = table{}
	}
	f.there, f.hops = true, hops
	return maps.Clone(f.has), maps.Clone(f.own), nil
}

func (f *fake) apply(all changes, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if !f.there {
		return errors.New("there is no table")
	}
	f.expire(now)
	after, c := maps.Clone(f.has), all.next
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
	f.own.apply(all.own)
	if all.replace {
		f.aggregates, f.until = all.aggregates, now.Add(lease)
	}
	return nil
}

func (f *fake) remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.there, f.has, f.own, f.aggregates = false, map[netip.Addr]entry{}, table{}, nil
	return nil
}

func (f *fake) packets() (uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return 0, f.there
}

// breaks has it fail from now on; nil: no more.
func (f *fake) breaks(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

// entries returns what it has.
func (f *fake) entries() (next, own table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.has), maps.Clone(f.own)
}

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
			var aggregates []netip.Prefix
			for bits := 24; bits <= 28; bits += 4 {
				if rapid.Bool().Draw(t, "aggregate") {
					aggregates = append(aggregates, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100}), bits))
				}
			}
			if err := h.converge(&announce.Passing{Passes: want, Hops: hops, Aggregates: aggregates}, now); err != nil {
				if k.broken == nil {
					t.Fatal(err)
				}
				continue
			}
			if !k.there { // nobody has looked, and there was nothing to change
				if c := h.next.diff(want, h.left, now); len(c.add)+len(c.remove) > 0 {
					t.Fatalf("there is no table, and this to be done: %v", c)
				}
				continue
			}
			if got := k.aggregates; !slices.Equal(got, aggregates[:min(1, len(aggregates))]) || len(got) > 0 && k.until.Before(now.Add(lease/2)) {
				t.Fatalf("aggregates are %v until %s, want %v", got, k.until, aggregates)
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
		four, six := &fake{has: table{}}, &fake{has: table{}}
		var changes atomic.Int64
		d := New(logr.Discard(), true, func() { changes.Add(1) })
		d.open = func(f config.Family) kernel { return map[config.Family]kernel{config.IPv4: four, config.IPv6: six}[f] }
		stop := start(t, d)
		v4, v6 := announce.Pass{Addr: addr, To: nodeA}, announce.Pass{Addr: addr6, To: netip.MustParseAddr("2001:db8::1")}
		began := time.Now()
		d.Set(&announce.Passing{Passes: []announce.Pass{v4}, Hops: 1, Own: []netip.Addr{addr6}})
		if _, own := six.entries(); len(own) != 1 || own[addr6].until != began.Add(lease) {
			t.Errorf("own addresses are %v", own)
		}
		if next, _ := four.entries(); next[addr].to != nodeA || time.Since(began) != 0 {
			t.Errorf("after Set, which took %s, the kernel has %v", time.Since(began), next)
		}
		time.Sleep(3 * lease)
		if next, _ := four.entries(); !next[addr].until.After(time.Now()) {
			t.Error("the lease was not renewed")
		}
		_ = four.remove() // by another program
		time.Sleep(2 * renewal)
		if next, _ := four.entries(); len(next) != 1 {
			t.Error("a table that was removed was not made again")
		}
		four.breaks(errors.New("broken"))
		d.Set(&announce.Passing{Passes: []announce.Pass{v6}, Hops: 1})
		if next, _ := six.entries(); d.Observed().Error == nil || next[addr6].to != v6.To {
			t.Errorf("a family that fails keeps the other from its work: %v, %v", d.Observed(), next)
		}
		six.breaks(errors.New("broken"))
		d.Set(&announce.Passing{Passes: []announce.Pass{v6}, Hops: 2})
		if o := d.Observed(); text(o.Error) != "broken" {
			t.Errorf("both fail alike, and it says %q", text(o.Error))
		}
		four.breaks(nil)
		six.breaks(nil)
		time.Sleep(2 * retry)
		if next, _ := four.entries(); d.Observed().Error != nil || d.Observed().Addresses != 1 || len(next) != 0 {
			t.Errorf("after a failure that is over: %v, %v", d.Observed(), next)
		}
		if changes.Load() == 0 {
			t.Error("nobody was told of a change")
		}
		stop()
		_, there4 := four.packets()
		if _, there6 := six.packets(); there4 || !there6 {
			t.Errorf("at the end there are tables: IPv4 without entries %t, IPv6 with one %t", there4, there6)
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
