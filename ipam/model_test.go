package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// model is an allocator that is slow and obvious: it walks everything at every question.
type model struct {
	pools    []modelPool // in the order in which they are tried
	holds    map[string][]netip.Addr
	released []netip.Addr // longest released first
}

type modelPool struct {
	name  string
	auto  bool
	addrs []netip.Addr
}

func (m *model) poolOf(a netip.Addr) *modelPool {
	for i := range m.pools {
		if slices.Contains(m.pools[i].addrs, a) {
			return &m.pools[i]
		}
	}
	return nil
}

func (m *model) holder(a netip.Addr) string {
	for who, as := range m.holds {
		if slices.Contains(as, a) {
			return who
		}
	}
	return ""
}

// free returns the addresses of a pool that may be given, best first.
func (m *model) free(p *modelPool, f config.Family) []netip.Addr {
	var fresh []netip.Addr
	for _, a := range p.addrs {
		if config.FamilyOf(a) == f && m.holder(a) == "" && !slices.Contains(m.released, a) {
			fresh = append(fresh, a)
		}
	}
	for _, a := range m.released {
		if config.FamilyOf(a) == f && slices.Contains(p.addrs, a) {
			fresh = append(fresh, a)
		}
	}
	return fresh
}

func (m *model) decide(who string, r Request) []netip.Addr {
	var out []netip.Addr
	complete := true
	for _, a := range r.Addresses {
		complete = complete && slices.Contains(r.Families, config.FamilyOf(a))
	}
	mismatch := !complete
	for _, f := range r.Families {
		a := m.keep(who, r, f)
		if !a.IsValid() && !mismatch {
			a = m.choose(who, r, f)
		}
		if a.IsValid() {
			out = append(out, a)
		} else {
			complete = false
		}
	}
	if !complete && r.RequireAll {
		out = slices.DeleteFunc(out, func(a netip.Addr) bool { return !slices.Contains(m.holds[who], a) })
	}
	return out
}

func (m *model) keep(who string, r Request, f config.Family) netip.Addr {
	for _, a := range m.holds[who] {
		p := m.poolOf(a)
		asked, insists := r.wanted(f)
		if config.FamilyOf(a) == f && p != nil && (!insists || a == asked) && (r.Pool == "" || r.Pool == p.name) {
			return a
		}
	}
	return netip.Addr{}
}

func (m *model) choose(who string, r Request, f config.Family) netip.Addr {
	if a, ok := r.wanted(f); ok {
		p := m.poolOf(a)
		if p == nil || (r.Pool != "" && r.Pool != p.name) || (m.holder(a) != "" && m.holder(a) != who) {
			return netip.Addr{}
		}
		return a
	}
	for i := range m.pools {
		p := &m.pools[i]
		if r.Pool == p.name || r.Pool == "" && p.auto {
			if free := m.free(p, f); len(free) > 0 {
				return free[0]
			}
		}
	}
	return netip.Addr{}
}

func (m *model) commit(who string, now []netip.Addr) {
	for _, a := range m.holds[who] {
		if !slices.Contains(now, a) && m.poolOf(a) != nil {
			m.released = append(m.released, a)
		}
	}
	m.holds[who] = now
	m.released = slices.DeleteFunc(m.released, func(a netip.Addr) bool { return slices.Contains(now, a) })
}

// space is what test pools are cut out of: few addresses, so that they run out.
var space = addrs("192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5",
	"2001:db8::", "2001:db8::1", "2001:db8::2", "2001:db8::3")

// drawPools cuts some of the space into up to three pools.
func drawPools(t *rapid.T) (*config.Snapshot, []modelPool) {
	var objects []v1beta1.IPAddressPool
	var pools []modelPool
	for i := range 3 {
		pools = append(pools, modelPool{name: fmt.Sprintf("pool-%d", i), auto: rapid.Bool().Draw(t, "auto")})
	}
	for _, a := range space {
		if i := rapid.IntRange(0, 3).Draw(t, "pool of "+a.String()); i < 3 {
			pools[i].addrs = append(pools[i].addrs, a)
		}
	}
	pools = slices.DeleteFunc(pools, func(p modelPool) bool { return len(p.addrs) == 0 })
	for _, p := range pools {
		var list []string
		for _, a := range p.addrs {
			list = append(list, a.String())
		}
		o := testPool(p.name, list)
		o.Spec.AutoAssign = &p.auto
		objects = append(objects, o)
	}
	return snapshot(objects...), pools
}

func drawRequest(t *rapid.T) Request {
	r := Request{
		Service:    svc(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "service")),
		Families:   rapid.SampledFrom([][]config.Family{v4only, v6only, dual, {config.IPv6, config.IPv4}}).Draw(t, "families"),
		RequireAll: rapid.Bool().Draw(t, "require all"),
	}
	switch rapid.IntRange(0, 5).Draw(t, "asks for") {
	case 0:
		r.Pool = rapid.SampledFrom([]string{"pool-0", "pool-1", "pool-2"}).Draw(t, "pool")
	case 1:
		r.Addresses = []netip.Addr{rapid.SampledFrom(space).Draw(t, "address")}
	}
	return r
}

// TestModel runs random histories of requests, releases, new configurations and
// restarts past the allocator and the model, which must agree on every step. What
// makes an allocator safe is stated besides, so that both cannot be wrong together.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, pools := drawPools(t)
		st, m := New(s), &model{pools: pools, holds: map[string][]netip.Addr{}}
		check := func() {
			seen := map[netip.Addr]string{}
			for who, as := range m.holds {
				if !slices.Equal(as, st.Held(svc(who))) {
					t.Fatalf("%s holds %v, want %v", who, st.Held(svc(who)), as)
				}
				for _, a := range as {
					if seen[a] != "" {
						t.Fatalf("%s is held by %s and %s", a, seen[a], who)
					}
					seen[a] = who
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"request": func(t *rapid.T) {
				r := drawRequest(t)
				who := r.Service.Name
				before := slices.Clone(st.Held(r.Service))
				d := Decide(st, r)
				want := m.decide(who, r)
				if !slices.Equal(want, d.Addresses) {
					t.Fatalf("%+v: got %v (%s), want %v", r, d.Addresses, d.Message, want)
				}
				if len(r.Addresses) == 0 && r.Pool == "" {
					for _, a := range before {
						if m.poolOf(a) != nil && slices.Contains(r.Families, config.FamilyOf(a)) && !slices.Contains(d.Addresses, a) {
							t.Fatalf("%s moved away from %s without a reason", who, a)
						}
					}
				}
				complete := len(d.Addresses) == len(r.Families) && d.Reason != FamilyMismatch
				if (d.Reason == Assigned) != complete || (d.Reason == Assigned) != (d.Message == "") {
					t.Fatalf("%v for families %v", d, r.Families)
				}
				st.Commit(r.Service, d)
				m.commit(who, d.Addresses)
			},
			"release": func(t *rapid.T) {
				who := drawRequest(t).Service.Name
				st.Release(svc(who))
				m.commit(who, nil)
			},
			"reconfigure": func(t *rapid.T) {
				s, pools := drawPools(t)
				st.Reconfigure(s)
				m.pools = pools
			},
			"restart": func(*rapid.T) {
				held := map[string][]netip.Addr{}
				for who, as := range m.holds {
					held[who] = slices.DeleteFunc(slices.Clone(as), func(a netip.Addr) bool { return m.poolOf(a) == nil })
				}
				st = New(st.snapshot)
				m.holds, m.released = held, nil
				for who, as := range held {
					st.Adopt(svc(who), as)
				}
			},
		})
		for _, p := range pools {
			if diff := cmp.Diff(m.usage(p.name), [2]Usage{st.Usage(p.name, config.IPv4), st.Usage(p.name, config.IPv6)}); diff != "" {
				t.Fatalf("use of %s: -want, +got:\n%s", p.name, diff)
			}
		}
	})
}

func (m *model) usage(name string) (out [2]Usage) {
	for _, p := range m.pools {
		if p.name != name {
			continue
		}
		for _, a := range p.addrs {
			u := &out[0]
			if config.FamilyOf(a) == config.IPv6 {
				u = &out[1]
			}
			u.Total++
			if m.holder(a) != "" {
				u.Assigned++
			} else {
				u.Available++
			}
		}
	}
	return out
}

func Example() {
	st := New(snapshot(testPool("main", []string{"192.0.2.10-192.0.2.11"})))
	for _, name := range []string{"web", "mail", "dns"} {
		r := Request{Service: svc(name), Families: v4only}
		d := Decide(st, r)
		st.Commit(r.Service, d)
		fmt.Println(strings.TrimSpace(fmt.Sprintf("%s %v %s: %s", name, d.Addresses, d.Reason, d.Message)))
	}
	// Output:
	// web [192.0.2.10] Assigned:
	// mail [192.0.2.11] Assigned:
	// dns [] PoolExhausted: all IPv4 addresses that this Service may have are in use (pool main)
}

// BenchmarkFill gives out a whole /16, one address at a time.
func BenchmarkFill(b *testing.B) {
	s := snapshot(testPool("main", []string{"10.0.0.0/16"}))
	keys := make([]Key, 1<<16)
	for i := range keys {
		keys[i] = Key{"ns", fmt.Sprintf("service-%d", i)}
	}
	b.ReportAllocs()
	for b.Loop() {
		st := New(s)
		for _, k := range keys {
			if d := Decide(st, Request{Service: k, Families: v4only}); d.Reason == Assigned {
				st.Commit(k, d)
			} else {
				b.Fatal(d)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/address")
}

// BenchmarkChurn assigns and releases one address while others are in use.
func BenchmarkChurn(b *testing.B) {
	for _, used := range []int{10, 60000} {
		for _, pool := range []string{"10.0.0.0/16", "10.0.0.0/8", "2001:db8::/64"} {
			b.Run(fmt.Sprintf("%s/used=%d", pool, used), func(b *testing.B) {
				st := New(snapshot(testPool("main", []string{pool})))
				families := []config.Family{config.FamilyOf(netip.MustParsePrefix(pool).Addr())}
				for i := range used {
					k := Key{"ns", fmt.Sprintf("service-%d", i)}
					st.Commit(k, Decide(st, Request{Service: k, Families: families}))
				}
				b.ReportAllocs()
				for b.Loop() {
					r := Request{Service: svc("one"), Families: families}
					st.Commit(r.Service, Decide(st, r))
					st.Release(r.Service)
				}
			})
		}
	}
}
