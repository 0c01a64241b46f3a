package bgp

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// TestTable lets routes change at random, sessions begin and end, and peers ask for everything again. Whatever each peer was told, in
// the order in which it was, comes to what it is to know; and nothing is said twice.
func TestTable(t *testing.T) {
	attributes := []*announce.Attributes{{}, {MED: 1, HasMED: true}, {GracefulShutdown: true}}
	prefixes := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("2001:db8::/64"),
	}
	type listener struct {
		*ledger
		knows map[netip.Prefix]string
	}
	rapid.Check(t, func(t *rapid.T) {
		table, routes, leaving := newTable(), map[netip.Prefix]announce.Route{}, false
		sessions := map[string]*listener{}
		peer := func() string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "peer") }
		hears := func(l *listener, quiet bool) {
			for _, c := range l.next() {
				for _, p := range c.prefixes {
					said := fmt.Sprint(c.attributes)
					if c.attributes == nil {
						said = ""
					}
					if !quiet && l.knows[p] == said && said == "" {
						t.Fatalf("%s is withdrawn that was not announced", p)
					}
					if l.knows[p] = said; said == "" {
						delete(l.knows, p)
					}
				}
			}
		}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				name := peer()
				if l := sessions[name]; l != nil {
					l.close()
					delete(sessions, name)
					continue
				}
				carries := map[config.Family]bool{config.IPv4: true, config.IPv6: rapid.Bool().Draw(t, "IPv6")}
				sessions[name] = &listener{table.open(name, carries, rapid.Bool().Draw(t, "keeps")), map[netip.Prefix]string{}}
			case 1:
				if l := sessions[peer()]; l != nil {
					hears(l, false)
					l.repeat(config.IPv4)
					hears(l, true)
				}
			case 2:
				if rapid.IntRange(0, 9).Draw(t, "leave") == 0 {
					table.leave()
					leaving = true
				}
			case 3, 4, 5:
				if l := sessions[peer()]; l != nil {
					hears(l, false)
				}
			default:
				r := announce.Route{Prefix: rapid.SampledFrom(prefixes).Draw(t, "prefix")}
				for _, name := range []string{"a", "b", "c"} {
					if rapid.Bool().Draw(t, name) {
						r.Peers = append(r.Peers, announce.PeerRoute{Peer: name, Attributes: rapid.SampledFrom(attributes).Draw(t, "attributes")})
					}
				}
				routes[r.Prefix] = r
				table.update([]announce.Route{r})
			}
		}
		for name, l := range sessions {
			hears(l, false)
			want := map[netip.Prefix]string{}
			for p, r := range routes {
				for _, x := range r.Peers {
					if x.Peer != name || !l.carries[config.FamilyOf(p.Addr())] {
						continue
					}
					a := *x.Attributes
					a.GracefulShutdown = a.GracefulShutdown || leaving && !l.keeps
					want[p] = fmt.Sprint(&a)
				}
			}
			if !maps.Equal(want, l.knows) {
				t.Fatalf("%s knows %v, want %v", name, l.knows, want)
			}
			if l.len() != len(want) {
				t.Fatalf("%d are counted, want %d", l.len(), len(want))
			}
			if again := l.next(); len(again) > 0 {
				t.Fatalf("%v is said again", again)
			}
		}
	})
}

// What changes together goes together: withdrawals first, then each set of attributes, prefixes in order.
func TestNext(t *testing.T) {
	a, b := &announce.Attributes{}, &announce.Attributes{MED: 1, HasMED: true}
	table := newTable()
	l := table.open("p", map[config.Family]bool{config.IPv4: true}, false)
	table.update([]announce.Route{route("192.0.2.9/32", a, "p"), route("192.0.2.1/32", a, "p"), route("192.0.2.5/32", b, "p"), route("2001:db8::1/128", a, "p")})
	said := func() (out []string) {
		for _, c := range l.next() {
			out = append(out, fmt.Sprintf("%v %v", c.attributes != nil && c.attributes.HasMED, c.prefixes))
		}
		return out
	}
	if diff := cmp.Diff([]string{"false [192.0.2.1/32 192.0.2.9/32]", "true [192.0.2.5/32]"}, said()); diff != "" {
		t.Errorf("at first: -want, +got:\n%s", diff)
	}
	table.update([]announce.Route{route("192.0.2.5/32", a, "p"), route("192.0.2.9/32", nil), route("192.0.2.1/32", a, "p")})
	if diff := cmp.Diff([]string{"false [192.0.2.9/32]", "false [192.0.2.5/32]"}, said()); diff != "" {
		t.Errorf("then: -want, +got:\n%s", diff)
	}
	if !slices.Equal(said(), nil) {
		t.Error("something is said again")
	}
}
