package ipam

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// model is an allocator that is slow and obvious: it walks everything at every question.
type model struct {
	pools []modelPool // in the order in which they are tried
	now   int64
	// requests are all Services and IPClaims that exist, as they were last read.
	requests map[Key]Request
	holds    map[Key][]netip.Addr
	leaving  map[Key][]netip.Addr
	released map[netip.Addr]int64
	// shunned says until when an address is for those only who ask for it.
	shunned map[netip.Addr]int64
	// orphans says since when an address is held that is in no pool.
	orphans map[netip.Addr]int64
}

type modelPool struct {
	name      string
	auto      bool
	shared    bool
	quota     int
	cooldown  time.Duration
	namespace string // that alone is admitted; empty for all
	addrs     []netip.Addr
}

// look copies who holds what from a State.
func (m *model) look(st *State) {
	m.now, m.holds, m.leaving, m.released = st.clock, map[Key][]netip.Addr{}, map[Key][]netip.Addr{}, maps.Clone(st.released)
	m.shunned, m.orphans = maps.Clone(st.quarantine), maps.Clone(st.orphans)
	for k, h := range st.held {
		m.holds[k], m.leaving[k] = slices.Clone(h.addrs), slices.Clone(st.Leaving(k))
	}
}

func (m *model) poolOf(a netip.Addr) *modelPool {
	for i := range m.pools {
		if slices.Contains(m.pools[i].addrs, a) {
			return &m.pools[i]
		}
	}
	return nil
}

func (m *model) holders(a netip.Addr) (out []Key) {
	for k, as := range m.holds {
		if slices.Contains(as, a) {
			out = append(out, k)
		}
	}
	return out
}

// may reports whether two may hold one address.
func (m *model) may(r, o *Request) bool {
	if r.Kind == Claim || o.Kind == Claim {
		return r.Namespace == o.Namespace && (r.Claim == o.Name && o.Kind == Claim || o.Claim == r.Name && r.Kind == Claim)
	}
	together := r.Sharing != "" && r.Sharing == o.Sharing || r.Claim != "" && r.Claim == o.Claim && r.Namespace == o.Namespace
	for _, p := range r.Ports {
		together = together && !slices.Contains(o.Ports, p)
	}
	if r.Local || o.Local {
		together = together && r.Selector == o.Selector
	}
	return together
}

// free reports whether one who does not hold an address may come to hold it.
func (m *model) free(r *Request, a netip.Addr) bool {
	for _, k := range m.holders(a) {
		o := m.requests[k]
		if k != r.Key && (!m.may(r, &o) || k.Namespace != r.Namespace && m.poolOf(a) != nil && !m.poolOf(a).shared) {
			return false
		}
	}
	return true
}

// expelled reports whether somebody who goes before objects to one who holds an address.
func (m *model) expelled(r *Request, a netip.Addr) bool {
	for _, k := range m.holders(a) {
		o := m.requests[k]
		before := k.Kind == Claim || r.Kind != Claim &&
			cmp.Or(o.Created.Compare(r.Created), cmp.Compare(k.Namespace, r.Namespace), cmp.Compare(k.Name, r.Name)) < 0
		if k != r.Key && !slices.Contains(m.leaving[k], a) && before && !m.may(r, &o) {
			return true
		}
	}
	return false
}

// quota reports whether a namespace may hold an address, in place of what it has otherwise.
func (m *model) quota(r *Request, p *modelPool, a netip.Addr) bool {
	if p.quota == 0 {
		return true
	}
	has := map[netip.Addr]bool{a: true}
	for k, as := range m.holds {
		for _, b := range as {
			if k != r.Key && k.Namespace == r.Namespace && config.FamilyOf(a) == config.FamilyOf(b) && m.poolOf(b) == p {
				has[b] = true
			}
		}
	}
	own := 0
	for _, b := range m.holds[r.Key] {
		if b == a {
			own = 0
		}
	}
	return len(has)+own <= p.quota || m.alreadyThere(r, a)
}

func (m *model) alreadyThere(r *Request, a netip.Addr) bool {
	return slices.ContainsFunc(m.holders(a), func(k Key) bool { return k != r.Key && k.Namespace == r.Namespace })
}

// decide returns the addresses that one has from now on, and whether they are all that it asks for.
func (m *model) decide(r Request) ([]netip.Addr, bool) {
	var out []netip.Addr
	kept := slices.Clone(m.holds[r.Key]) // or exchanged for it
	complete := true
	for _, a := range r.Addresses {
		complete = complete && slices.Contains(r.Families, config.FamilyOf(a))
	}
	mismatch := !complete
	for _, f := range r.Families {
		a := m.keep(&r, f)
		switch {
		case mismatch:
		case !a.IsValid():
			a = m.choose(&r, f)
		case m.flawed(&r, f, a):
			if since, orphan := m.orphans[a]; orphan && m.poolless(&r, f, a) && m.now < since+int64(PoolGrace) {
				complete = false
				break
			}
			if b := m.choose(&r, f); b.IsValid() {
				a = b
				kept = append(kept, b)
				break
			}
			if complete = false; m.swaps(&r, f, a) {
				a = netip.Addr{}
			}
		}
		if a.IsValid() {
			out = append(out, a)
		} else {
			complete = false
		}
	}
	if len(out) < len(r.Families) && r.RequireAll {
		out = slices.DeleteFunc(out, func(a netip.Addr) bool { return !slices.Contains(kept, a) })
	}
	return out, complete
}

// flawed reports whether one should rather have another address than one that it holds.
func (m *model) flawed(r *Request, f config.Family, a netip.Addr) bool {
	if own := m.claimed(r, f); r.Claim != "" && own.IsValid() {
		return own != a
	}
	return m.unwanted(r, f, a) || m.poolOf(a) == nil || m.contested(r, a)
}

func (m *model) unwanted(r *Request, f config.Family, a netip.Addr) bool {
	asked, insists := r.wanted(f)
	p := m.poolOf(a)
	return insists && asked != a || r.Pool != "" && (p == nil || p.name != r.Pool)
}

func (m *model) poolless(r *Request, f config.Family, a netip.Addr) bool {
	return m.poolOf(a) == nil && !m.unwanted(r, f, a) && !(r.Claim != "" && m.claimed(r, f).IsValid())
}

// line returns who waits for an address, first come first.
func (m *model) line(a netip.Addr) []Key {
	f := config.FamilyOf(a)
	var out []Key
	for k, r := range m.requests {
		has := less(m.holds[k], m.leaving[k])
		asked, insists := r.wanted(f)
		waits := insists && asked == a || r.Claim != "" && m.claimed(&r, f) == a
		for _, x := range r.Addresses {
			waits = waits && slices.Contains(r.Families, config.FamilyOf(x)) // else the whole request is refused
		}
		if waits && slices.Contains(r.Families, f) && !slices.Contains(has, a) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b Key) int {
		r, o := m.requests[a], m.requests[b]
		return r.compare(&o)
	})
	return out
}

// alone returns who alone holds an address, and stays.
func (m *model) alone(a netip.Addr) (Key, bool) {
	all := m.holders(a)
	if len(all) != 1 || slices.Contains(m.leaving[all[0]], a) {
		return Key{}, false
	}
	return all[0], true
}

// blocked reports whether nothing but its holder keeps one from an address that it asks for.
func (m *model) blocked(r *Request, a netip.Addr) bool {
	p := m.poolOf(a)
	return p != nil && (r.Pool == "" || r.Pool == p.name) && (p.namespace == "" || p.namespace == r.Namespace) && !m.free(r, a)
}

// swaps reports whether what one holds is the first step of a chain of wishes that ends with what it asks for.
func (m *model) swaps(r *Request, f config.Family, a netip.Addr) bool {
	if _, alone := m.alone(a); !alone || r.Claim != "" {
		return false
	}
	who, seen := r.Key, map[Key]bool{}
	for {
		q := m.requests[who]
		x, insists := q.wanted(f)
		line := m.line(x)
		if !insists || seen[who] || len(line) == 0 || line[0] != who || !m.blocked(&q, x) {
			return false
		}
		if who != r.Key && x == a {
			return true
		}
		seen[who] = true
		holder, alone := m.alone(x)
		if !alone {
			return false
		}
		who = holder
	}
}

// contested reports whether one should rather have another address.
func (m *model) contested(r *Request, a netip.Addr) bool {
	return slices.Contains(r.Conflicts, a) && r.Kind == Service && r.Claim == "" && !slices.Contains(r.Addresses, a)
}

// avoided reports whether an address is not given to who does not ask for it.
func (m *model) avoided(r *Request, a netip.Addr) bool {
	_, shunned := m.shunned[a]
	return shunned || slices.Contains(r.Conflicts, a)
}

// keep returns what one holds and need not give up at once.
func (m *model) keep(r *Request, f config.Family) netip.Addr {
	for _, a := range m.holds[r.Key] {
		if config.FamilyOf(a) == f && !m.expelled(r, a) {
			return a
		}
	}
	return netip.Addr{}
}

func (m *model) claimed(r *Request, f config.Family) netip.Addr {
	k := r.claim()
	for _, a := range m.holds[k] {
		if config.FamilyOf(a) == f && !slices.Contains(m.leaving[k], a) {
			return a
		}
	}
	return netip.Addr{}
}

// options returns what one may have of a family, best first.
func (m *model) options(r *Request, f config.Family) (out []netip.Addr) {
	if r.Claim != "" {
		return []netip.Addr{m.claimed(r, f)}
	}
	if a, ok := r.wanted(f); ok {
		return []netip.Addr{a}
	}
	if r.Kind == Claim {
		for _, k := range slices.SortedFunc(maps.Keys(m.requests), Key.compare) {
			o := m.requests[k]
			if k.Kind != Claim && o.Claim == r.Name && k.Namespace == r.Namespace {
				for _, a := range m.holds[k] {
					if config.FamilyOf(a) == f && !slices.Contains(m.leaving[k], a) {
						out = append(out, a)
						break
					}
				}
			}
		}
	}
	for i := range m.pools {
		p := &m.pools[i]
		if r.Pool != "" && r.Pool != p.name || r.Pool == "" && !p.auto {
			continue
		}
		if r.Sharing == "" {
			continue
		}
		for _, a := range slices.SortedFunc(slices.Values(p.addrs), netip.Addr.Compare) {
			if !m.avoided(r, a) && slices.ContainsFunc(m.holders(a), func(k Key) bool { return m.requests[k].Sharing == r.Sharing }) {
				out = append(out, a)
			}
		}
	}
	for i := range m.pools {
		p := &m.pools[i]
		if r.Pool != "" && r.Pool != p.name || r.Pool == "" && !p.auto {
			continue
		}
		var used []netip.Addr
		for _, a := range p.addrs {
			when, was := m.released[a]
			switch {
			case len(m.holders(a)) > 0, m.avoided(r, a):
			case !was:
				out = append(out, a)
			case p.cooldown == 0 || m.now >= when+int64(p.cooldown):
				used = append(used, a)
			}
		}
		slices.SortFunc(used, func(a, b netip.Addr) int { return cmp.Compare(m.released[a], m.released[b]) })
		out = append(out, used...)
	}
	return out
}

func (m *model) choose(r *Request, f config.Family) netip.Addr {
	for _, a := range m.options(r, f) {
		p := m.poolOf(a)
		if config.FamilyOf(a) != f || !m.free(r, a) {
			continue
		}
		if r.Claim != "" {
			return a
		}
		if p != nil && (r.Pool == "" || r.Pool == p.name) && (p.namespace == "" || p.namespace == r.Namespace) && m.quota(r, p, a) {
			return a
		}
	}
	return netip.Addr{}
}

// space is what test pools are cut out of: few addresses, so that they run out.
var space = addrs("192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5",
	"2001:db8::", "2001:db8::1", "2001:db8::2", "2001:db8::3")

// drawPools cuts some of the space into up to three pools.
func drawPools(t *rapid.T) (*config.Snapshot, []modelPool) {
	var objects []v1beta1.IPAddressPool
	var pools []modelPool
	for i := range 3 {
		pools = append(pools, modelPool{
			name: fmt.Sprintf("pool-%d", i),
			auto: rapid.IntRange(0, 3).Draw(t, "auto") > 0, shared: rapid.Bool().Draw(t, "shared"),
			quota:     rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "quota"),
			cooldown:  time.Duration(rapid.SampledFrom([]int{0, 0, 10}).Draw(t, "cool-down")) * time.Second,
			namespace: rapid.SampledFrom([]string{"", "", "ns", "other"}).Draw(t, "admits"),
		})
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
		o.Spec.NamespaceQuota = int32(p.quota)
		o.Spec.ReuseCooldown = &metav1.Duration{Duration: p.cooldown}
		if p.shared {
			o.Spec.Sharing = v1beta1.AllNamespaces
		}
		if p.namespace != "" {
			o.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{Namespaces: []string{p.namespace}}
		}
		objects = append(objects, o)
	}
	return snapshot(objects...), pools
}

// drawKey names one of few Services and IPClaims. Their names give their age.
func drawKey(t *rapid.T) Key {
	return Key{
		Namespace: rapid.SampledFrom([]string{"ns", "ns", "other"}).Draw(t, "namespace"),
		Name:      rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "name"),
		Kind:      rapid.SampledFrom([]Kind{Service, Service, Service, Claim}).Draw(t, "kind"),
	}
}

func drawRequest(t *rapid.T) Request {
	r := Request{Key: drawKey(t), Marked: true, RequireAll: rapid.Bool().Draw(t, "require all")}
	r.Families = rapid.SampledFrom([][]config.Family{v4only, v6only, dual, {config.IPv6, config.IPv4}}).Draw(t, "families")
	r.Created = time.Unix(int64(r.Name[0]), 0)
	if r.Kind == Service {
		if rapid.IntRange(0, 4).Draw(t, "claims") == 0 {
			r.Claim = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "claim")
		}
		r.Sharing = rapid.SampledFrom([]string{"", "", "key", "lock"}).Draw(t, "sharing key")
		r.Ports = []Port{{"TCP", uint16(rapid.IntRange(1, 3).Draw(t, "port"))}}
		r.Local = rapid.IntRange(0, 3).Draw(t, "local") == 0
		r.Selector = rapid.SampledFrom([]string{"app=x", "app=x", "app=y"}).Draw(t, "selector")
	}
	switch rapid.IntRange(0, 5).Draw(t, "asks for") {
	case 0:
		r.Pool = rapid.SampledFrom([]string{"pool-0", "pool-1", "pool-2"}).Draw(t, "pool")
	case 1:
		r.Addresses = []netip.Addr{rapid.SampledFrom(space).Draw(t, "address")}
	}
	if r.Claim != "" {
		r.Pool, r.Addresses = "", nil
	}
	return r
}

// history is one State under test, and what is known of its past.
type history struct {
	*model
	st *State
}

// settle decides about one, and has the model agree.
func (h *history) settle(t *rapid.T, r Request) {
	h.requests[r.Key] = r
	h.look(h.st)
	r.forgetConflicts(h.holds[r.Key])
	want, complete := h.decide(r)
	got := Decide(h.st, r)
	if !slices.Equal(want, got.Addresses) {
		t.Fatalf("%#v: got %v (%s: %s), want %v; held: %v, leaving: %v", r, got.Addresses, got.Reason, got.Message, want, h.holds, h.leaving)
	}
	for _, f := range r.Families {
		complete = complete && (r.Claim == "" || h.claimed(&r, f).IsValid())
	}
	if (got.Reason == Assigned) != complete || (got.Reason == Assigned) != (got.Message == "") {
		t.Fatalf("%v for families %v", got, r.Families)
	}
	if lost := less(h.holds[r.Key], got.Addresses); (len(lost) > 0) != (got.Lost != "") {
		t.Fatalf("%#v loses %v because %q", r, lost, got.Lost)
	}
	h.st.Settle(r)
	// What is not shown is no conflict any more.
	r.Conflicts = slices.DeleteFunc(slices.Clone(r.Conflicts), func(a netip.Addr) bool { return !slices.Contains(got.Addresses, a) })
	h.requests[r.Key] = r
}

// rest looks at those who are to be looked at, as the controller does, until there are none.
func (h *history) rest(t *rapid.T, frees bool) {
	for range 1000 {
		others := h.st.Others()
		if frees {
			for k := range h.requests {
				if lost := h.st.Leaving(k); len(lost) > 0 {
					h.st.Left(k, slices.Clone(lost))
					others = append(others, h.st.Others()...)
				}
			}
		}
		if len(others) == 0 {
			return
		}
		for _, k := range others {
			if r, exists := h.requests[k]; exists {
				h.settle(t, r)
			}
		}
	}
	t.Fatalf("it does not come to rest: %v", h.requests)
}

// check states what makes an allocator safe, at rest.
func (h *history) check(t *rapid.T) {
	h.look(h.st)
	for a := range h.st.holders {
		who := h.model.holders(a)
		for i, k := range who {
			for _, o := range who[i+1:] {
				r, s := h.requests[k], h.requests[o]
				if !h.may(&r, &s) && !slices.Contains(h.leaving[k], a) && !slices.Contains(h.leaving[o], a) {
					t.Fatalf("%s is held by %s and %s, who do not share it", a, k, o)
				}
			}
		}
	}
	for k, as := range h.holds {
		if _, exists := h.requests[k]; !exists {
			t.Fatalf("%s is gone and holds %v", k, as)
		}
	}
	for k, r := range h.requests {
		// Nobody waits for what it could have, nobody has what it should not have, and
		// nobody was forgotten when something changed that concerns it.
		if d := Decide(h.st, r); !slices.Equal(d.Addresses, less(h.holds[k], h.leaving[k])) {
			t.Fatalf("%#v has %v, leaves %v, and would have %v (%s, %s)", r, h.holds[k], h.leaving[k], d.Addresses, d.Message, d.Lost)
		}
	}
	for i := range h.pools {
		p := &h.pools[i]
		for _, f := range families {
			want := Usage{}
			for _, a := range p.addrs {
				if config.FamilyOf(a) != f {
					continue
				}
				want.Total++
				when, released := h.model.released[a]
				_, shunned := h.model.shunned[a]
				switch {
				case len(h.model.holders(a)) > 0:
					want.Assigned++
				case shunned, released && h.model.now < when+int64(p.cooldown):
					want.Cooling++
				}
			}
			want.Available = want.Total - want.Assigned
			if got := h.st.Usage(p.name, f); got != want {
				t.Fatalf("use of %s, %s: got %v, want %v", p.name, f, got, want)
			}
			held := map[string]int{}
			for _, a := range p.addrs {
				here := map[string]bool{}
				for _, k := range h.model.holders(a) {
					here[k.Namespace] = config.FamilyOf(a) == f && p.quota > 0
				}
				for ns, counts := range here {
					if counts {
						held[ns]++
					}
				}
			}
			if limit, got := h.st.Quota(p.name, f); limit != p.quota || !maps.Equal(got, held) {
				t.Fatalf("quota of %s, %s: got %d, %v, want %d, %v", p.name, f, limit, got, p.quota, held)
			}
		}
	}
}

// restart makes the State again from what statuses show, as a new leader does.
func (h *history) restart(t *rapid.T) {
	h.look(h.st)
	held, requests := map[Key][]netip.Addr{}, maps.Clone(h.requests)
	flawed := map[Key]bool{}
	var all []Request
	for k, r := range h.requests {
		held[k] = less(h.st.Held(k), h.st.Leaving(k))
		for _, a := range held[k] {
			flawed[k] = flawed[k] || h.flawed(&r, config.FamilyOf(a), a)
		}
		r.Shown = held[k]
		all = append(all, r)
	}
	h.st = Load(h.st.snapshot, all)
	h.rest(t, true)
	for k, as := range held {
		r := requests[k]
		h.look(h.st)
		for _, a := range as {
			if r.Claim != "" && h.claimed(&r, config.FamilyOf(a)).IsValid() {
				continue // what rested is forgotten, so that the claim may have got an address at last
			}
			if flawed[k] {
				continue // and so is what was quarantined, so that there may be another to have
			}
			if h.poolOf(a) != nil && !slices.Contains(h.st.Held(k), a) {
				t.Fatalf("%#v lost %s by a restart", r, a)
			}
		}
	}
}

// TestModel runs random histories of requests, releases, new configurations and restarts past the
// allocator and the model, which must agree on every decision. What makes an allocator
// safe is stated besides, so that both cannot be wrong together. A second State is told
// the same, and must say the same.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, pools := drawPools(t)
		h := &history{&model{pools: pools, requests: map[Key]Request{}}, New(s)}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				h.rest(t, true)
				h.check(t)
			},
			"settle": func(t *rapid.T) {
				h.settle(t, drawRequest(t))
				// Statuses are written late: others are looked at before what was lost is free.
				h.rest(t, false)
			},
			"conflict": func(t *rapid.T) {
				r, exists := h.requests[drawKey(t)]
				if !exists {
					return
				}
				r.Conflicts = nil
				for _, a := range less(h.st.Held(r.Key), h.st.Leaving(r.Key)) {
					if rapid.IntRange(0, 3).Draw(t, "found in use") > 0 {
						r.Conflicts = append(r.Conflicts, a)
					}
				}
				h.settle(t, r)
				h.rest(t, false)
				// Whoever got an address since did so because it asked for it, or because of what it shares or claims.
				for k, as := range h.st.held {
					o := h.requests[k]
					for a := range h.st.quarantine {
						if slices.Contains(as.addrs, a) && !slices.Contains(h.holds[k], a) && o.Sharing+o.Claim == "" && k.Kind == Service && !slices.Contains(o.Addresses, a) {
							t.Fatalf("%s got %s, which is quarantined", k, a)
						}
					}
				}
			},
			"release": func(t *rapid.T) {
				k := drawKey(t)
				delete(h.requests, k)
				h.st.Release(k)
			},
			"reconfigure": func(t *rapid.T) {
				s, pools := drawPools(t)
				h.pools = pools
				h.st.Reconfigure(s)
			},
			"time passes": func(t *rapid.T) {
				h.st.Advance(time.Duration(h.st.clock) + time.Duration(rapid.SampledFrom([]int{1, 8, 20, 300}).Draw(t, "seconds"))*time.Second)
			},
			"restart": h.restart,
		})
	})
}
