package bgp

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/netns"
	"github.com/fairlead-lb/fairlead/internal/router"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// wire is a cable to a network namespace with a router.
type wire struct {
	testing.TB

	router, link string
}

var wires atomic.Int32

func newWire(t testing.TB) *wire {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	w := &wire{t, fmt.Sprintf("fairlead-bgp-%d", os.Getpid()), fmt.Sprintf("eth%d", wires.Add(1))} // names are not used again: package net remembers them
	w.ip("netns add " + w.router)
	t.Cleanup(func() { // the cable goes with it
		w.ip("-n " + w.router + " link del eth0")
		w.ip("netns del " + w.router)
	})
	w.ip("link set lo up")
	w.ip("link add " + w.link + " type veth peer name eth0 netns " + w.router)
	w.ip("addr add 192.0.2.1/24 dev " + w.link)
	w.ip("addr add 2001:db8::1/64 dev " + w.link + " nodad")
	w.ip("link set " + w.link + " addrgenmode none up")
	w.ip("addr add fe80::1/64 dev " + w.link + " nodad")
	w.ip("-n " + w.router + " link set lo up")
	w.ip("-n " + w.router + " addr add 192.0.2.2/24 dev eth0")
	w.ip("-n " + w.router + " addr add 2001:db8::2/64 dev eth0 nodad")
	w.ip("-n " + w.router + " link set eth0 addrgenmode none up")
	w.ip("-n " + w.router + " addr add fe80::2/64 dev eth0 nodad")
	return w
}

func (w *wire) ip(args string) {
	w.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		w.Fatalf("ip %s: %s (%v)", args, bytes.TrimSpace(out), err)
	}
}

// start starts what is on the other side.
func (w *wire) start(c router.Config) *router.Router {
	w.Helper()
	r, err := router.Start(w.Context(), w.Logf, netns.Path(w.router), c)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := r.Stop(); err != nil {
			w.Error(err)
		}
	})
	return r
}

// run runs a Driver until stop.
func (w *wire) run(routes []announce.Route, peers ...*config.Peer) (d *Driver, stop func()) {
	w.Helper()
	d = New(Options{Log: w.log()})
	d.Update(routes)
	d.Set(desired(peers...))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx); err != nil {
			w.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	w.Cleanup(stop)
	return d, stop
}

func desired(peers ...*config.Peer) Desired {
	out := Desired{RouterID: netip.MustParseAddr("192.0.2.1")}
	for _, p := range peers {
		out.Peers = append(out.Peers, Peer{Peer: p})
	}
	return out
}

// eventually waits until ok, and returns how long that took.
func (w *wire) eventually(what string, ok func() bool, otherwise func() string) time.Duration {
	w.Helper()
	started := time.Now()
	for !ok() {
		if time.Since(started) > 15*time.Second {
			w.Fatalf("%s: not after 15s: %s", what, otherwise())
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(started)
}

// established waits until all sessions are.
func (w *wire) established(d *Driver, n int) {
	w.Helper()
	took := w.eventually("established", func() bool {
		up := 0
		for _, s := range d.Observed() {
			if s.State == Established {
				up++
			}
		}
		return up == n
	}, func() string { return fmt.Sprintf("%+v", d.Observed()) })
	w.Logf("established after %s", took)
}

const (
	nodes   = 64512
	outside = 64513
)

// peers are the same router over IPv4 and IPv6, each with routes of both families.
func peers(change func(*config.Peer)) []*config.Peer {
	v4 := &config.Peer{
		Name: "v4", MyASN: nodes, PeerASN: outside, Address: netip.MustParseAddr("192.0.2.2"), Port: 179,
		HoldTime: 90 * time.Second, Keepalive: 30 * time.Second, ConnectTime: time.Second, IPv4Unicast: true, IPv6Unicast: true,
		RestartTime: 120 * time.Second,
	}
	change(v4)
	v6 := *v4
	v6.Name, v6.Address = "v6", netip.MustParseAddr("2001:db8::2")
	return []*config.Peer{v4, &v6}
}

func route(prefix string, a *announce.Attributes, to ...string) announce.Route {
	r := announce.Route{Prefix: netip.MustParsePrefix(prefix)}
	for _, p := range to {
		r.Peers = append(r.Peers, announce.PeerRoute{Peer: p, Attributes: a})
	}
	return r
}

// both is a route of each family.
func both(to string) []announce.Route {
	a := &announce.Attributes{}
	return []announce.Route{route("198.51.100.7/32", a, to), route("2001:db8:1::7/128", a, to)}
}

// asked is a router, and how it says what it has.
type asked struct {
	config router.Config
	daemon string
	ask    func(netip.Prefix) string
	parse  func(string) ([]router.Path, error)
	// lasting: it says of routes that their neighbour restarts.
	lasting bool
}

var routers = map[string]asked{
	"FRR": {
		router.FRR{"zebra": "", "bgpd": fmt.Sprintf(`router bgp %d
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 neighbor 192.0.2.1 remote-as %[2]d
 neighbor 192.0.2.1 passive
 neighbor 2001:db8::1 remote-as %[2]d
 neighbor 2001:db8::1 passive
 neighbor 2001:db8::1 capability extended-nexthop
 address-family ipv4 unicast
  network 203.0.113.0/24
  neighbor 192.0.2.1 activate
  neighbor 2001:db8::1 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor 192.0.2.1 activate
  neighbor 2001:db8::1 activate
 exit-address-family
`, outside, nodes)}, "bgpd",
		func(p netip.Prefix) string {
			if p.Addr().Is4() {
				return "show bgp ipv4 unicast " + p.String() + " json"
			}
			return "show bgp ipv6 unicast " + p.String() + " json"
		},
		func(s string) ([]router.Path, error) { return router.ParseFRR([]byte(s)) }, true,
	},
	"BIRD": {
		router.BIRD(fmt.Sprintf(`log stderr all;
router id 192.0.2.2;
protocol device {}
protocol static { ipv4; route 203.0.113.0/24 blackhole; }
template bgp node {
  local as %d;
  passive;
  graceful restart aware;
  error wait time 1, 2;
  ipv4 { import all; export all; extended next hop on; };
  ipv6 { import all; export all; };
}
protocol bgp v4 from node { neighbor 192.0.2.1 as %[2]d; }
protocol bgp v6 from node { neighbor 2001:db8::1 as %[2]d; }
`, outside, nodes)), "bird",
		func(p netip.Prefix) string { return "show route " + p.String() + " all" },
		router.ParseBIRD, false,
	},
}

// has returns what a router has of a prefix.
func (w *wire) has(r *router.Router, by asked, prefix string) []router.Path {
	w.Helper()
	text, err := r.Ask(w.Context(), by.ask(netip.MustParsePrefix(prefix)))
	if err != nil {
		w.Logf("ask the router: %v", err)
		return nil
	}
	paths, err := by.parse(text)
	if err != nil {
		w.Fatalf("%v in %q", err, text)
	}
	return paths
}

// TestRouters announces routes to FRR and to BIRD, over IPv4 and IPv6, and looks at what they make of them.
func TestRouters(t *testing.T) {
	full := &announce.Attributes{
		MED: 7, HasMED: true, Prepend: 2, Communities: []config.Community{64512<<16 | 100},
		LargeCommunities: []config.LargeCommunity{{64512, 1, 2}}, Bandwidth: 125_000_000,
	}
	plain := &announce.Attributes{}
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	said := router.Path{
		ASPath: []uint32{nodes, nodes, nodes}, MED: 7, Communities: []string{"64512:100"}, LargeCommunities: []string{"64512:1:2"}, LinkBandwidth: 125_000_000,
	}
	from := func(p router.Path, from, hop netip.Addr) router.Path { p.From, p.NextHop = from, hop; return p }
	for name, by := range routers {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			r := w.start(by.config)
			all := []announce.Route{
				route("198.51.100.7/32", full, "v4", "v6"), route("2001:db8:1::7/128", full, "v4", "v6"),
				route("198.51.100.8/32", plain, "v4"),
			}
			d, stop := w.run(all, peers(func(*config.Peer) {})...)
			w.established(d, 2)
			same := cmp.Options{
				cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(router.Path{}, "Best", "Stale", "LocalPref"), cmpopts.EquateEmpty(),
				cmpopts.SortSlices(func(a, b router.Path) bool { return a.From.Compare(b.From) < 0 }),
			}
			expect := func(what, prefix string, want ...router.Path) {
				t.Helper()
				var got []router.Path
				w.eventually(what, func() bool {
					got = w.has(r, by, prefix)
					return cmp.Equal(want, got, same)
				}, func() string { return prefix + ": -want, +got:\n" + cmp.Diff(want, got, same) })
			}
			expect("both have it, with all attributes", "198.51.100.7/32", from(said, v4, v4), from(said, v6, v6))
			expect("both have it, with all attributes", "2001:db8:1::7/128", from(said, v4, v6), from(said, v6, v6))
			plainly := router.Path{ASPath: []uint32{nodes}}
			expect("one has it", "198.51.100.8/32", from(plainly, v4, v4))

			// A change, and a withdrawal.
			d.Update([]announce.Route{route("198.51.100.8/32", full, "v4"), route("198.51.100.7/32", nil)})
			expect("it has changed", "198.51.100.8/32", from(said, v4, v4))
			expect("it is withdrawn", "198.51.100.7/32")

			// The router's own announcements are not read.
			w.eventually("what the router announces is discarded", func() bool {
				return !slices.ContainsFunc(d.Observed(), func(s Session) bool { return s.Discarded == 0 })
			}, func() string { return fmt.Sprintf("%+v", d.Observed()) })

			// A restart of the speaker: the router keeps the routes, and those that are announced no more go at the end.
			stop()
			if got := w.has(r, by, "198.51.100.8/32"); len(got) != 1 || by.lasting && !got[0].Stale {
				t.Errorf("while the speaker restarts the router has %+v", got)
			}
			d, stop = w.run(all[:2], peers(func(*config.Peer) {})...)
			w.established(d, 2)
			expect("it is announced again", "198.51.100.7/32", from(said, v4, v4), from(said, v6, v6))
			expect("it is not", "198.51.100.8/32")
			expect("the other stayed", "2001:db8:1::7/128", from(said, v4, v6), from(said, v6, v6))

			// A router that restarts.
			r.KillDaemon(by.daemon)
			w.eventually("lost", func() bool { return d.Observed()[0].State != Established }, func() string { return "" })
			if err := r.StartDaemon(t.Context(), by.daemon); err != nil {
				t.Fatal(err)
			}
			w.established(d, 2)
			expect("it is announced to the router that has come back", "198.51.100.7/32", from(said, v4, v4), from(said, v6, v6))

			// BFD has lost the session: the router is told, and drops the routes, though it would keep them.
			d.Fail("v4", "control detection time expired")
			w.eventually("BFD", func() bool { return d.Observed()[0].Counters.Established == 3 }, func() string { return fmt.Sprintf("%+v", d.Observed()) })
			stop()
		})
	}
}

// unnumbered are the routers' configurations for a neighbour of which they know the interface only.
var unnumbered = map[string]router.Config{
	"FRR": router.FRR{"zebra": "interface eth0\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 1\n", "bgpd": fmt.Sprintf(`router bgp %d
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 neighbor eth0 interface remote-as external
 address-family ipv6 unicast
  neighbor eth0 activate
 exit-address-family
`, outside)},
	"BIRD": router.BIRD(fmt.Sprintf(`log stderr all;
router id 192.0.2.2;
protocol device {}
protocol radv { interface "eth0" { max ra interval 4; min delay 3; default lifetime 0; }; }
protocol bgp {
  local as %d;
  neighbor range fe80::/10 external;
  interface "eth0";
  dynamic name "node";
  ipv4 { import all; export none; extended next hop on; };
  ipv6 { import all; export none; };
}
`, outside)),
}

// TestUnnumbered has a session with a router of which nothing is known but the interface: routes of both families have the
// node's link-local address as next hop (RFC 8950).
func TestUnnumbered(t *testing.T) {
	for name, by := range routers {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			r := w.start(unnumbered[name])
			p := peers(func(p *config.Peer) {
				p.Address, p.Interface, p.PeerASN, p.Dynamic = netip.Addr{}, w.link, 0, v1beta1.ExternalASN
			})[0]
			d, _ := w.run(both("v4"), p)
			w.established(d, 1)
			if s := d.Observed()[0]; s.Address != netip.MustParseAddr("fe80::2").WithZone(w.link) || s.Error != "" {
				t.Errorf("the session is %+v", s)
			}
			for _, prefix := range []string{"198.51.100.7/32", "2001:db8:1::7/128"} {
				w.eventually("the route is there", func() bool {
					paths := w.has(r, by, prefix)
					return len(paths) == 1 && paths[0].NextHop == netip.MustParseAddr("fe80::1")
				}, func() string { return fmt.Sprintf("%+v", w.has(r, by, prefix)) })
			}
		})
	}
}

// TestAddresses has an interface with addresses that a router gave it, beside its own: its own is the next hop, and what sessions are made from.
func TestAddresses(t *testing.T) {
	w := newWire(t)
	w.ip("addr add 2001:db8::99/64 dev " + w.link + " nodad valid_lft 1000 preferred_lft 0")
	w.ip("addr add 2001:db8::77/64 dev " + w.link + " nodad valid_lft 1000 preferred_lft 500") // the kernel lists the last one first
	for _, local := range []string{"192.0.2.1", "fe80::1%" + w.link} {
		got, err := addresses(netip.MustParseAddr(local))
		if err != nil {
			t.Fatal(err)
		}
		var global []string
		for _, a := range got {
			if a.Is6() && a.IsGlobalUnicast() {
				global = append(global, a.String())
			}
		}
		if want := []string{"2001:db8::1", "2001:db8::77", "2001:db8::99"}; !slices.Equal(global, want) {
			t.Errorf("beside %s there are %v, want %v", local, global, want)
		}
	}
	for to, want := range map[string]string{"2001:db8::2": "2001:db8::1", "192.0.2.2": "invalid IP", "2001:db8:ffff::2": "invalid IP", "fe80::2%" + w.link: "invalid IP"} {
		if got := source(netip.MustParseAddr(to)).String(); got != want {
			t.Errorf("spoken with %s from %s, want %s", to, got, want)
		}
	}
	if got, err := addresses(netip.MustParseAddr("192.0.2.250")); got != nil || err != nil {
		t.Errorf("beside an address that there is not: %v, %v", got, err)
	}
}

// TestLacks has a router that does not carry one of the families: the session has the other's routes, and says what it lacks.
func TestLacks(t *testing.T) {
	by := routers["FRR"]
	by.config = router.FRR{"zebra": "", "bgpd": fmt.Sprintf(`router bgp %d
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 neighbor 192.0.2.1 remote-as %d
 neighbor 192.0.2.1 passive
`, outside, nodes)}
	w := newWire(t)
	r := w.start(by.config)
	d, _ := w.run(both("v4"), peers(func(*config.Peer) {})[0])
	w.established(d, 1)
	if got, want := d.Observed()[0].Error, "the peer does not carry IPv6 routes"; got != want {
		t.Errorf("the session says %q, want %q", got, want)
	}
	w.eventually("the route is there", func() bool { return len(w.has(r, by, "198.51.100.7/32")) == 1 },
		func() string { return fmt.Sprintf("%+v", d.Observed()) })
	if got := w.has(r, by, "2001:db8:1::7/128"); len(got) > 0 {
		t.Errorf("it has %+v", got)
	}
}

// TestRefused has peers that cannot be: each says why, in words that help.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*config.Peer)
		want   string
	}{
		"ASN":     {"the router has another AS number", func(p *config.Peer) { p.PeerASN = 64999 }, "the peer's AS number is 64513, and peerASN is 64999"},
		"Dynamic": {"it is not of this AS", func(p *config.Peer) { p.PeerASN, p.Dynamic = 0, v1beta1.InternalASN }, "the peer's AS number is 64513, and dynamicASN is internal"},
		"Port":    {"nobody listens", func(p *config.Peer) { p.Port = 1790 }, "connect: connection refused"},
		"Source":  {"the node has no such address", func(p *config.Peer) { p.Source = netip.MustParseAddr("192.0.2.77") }, "bind: cannot assign requested address"},
		"Theirs":  {"the router does not know this AS", func(p *config.Peer) { p.MyASN = 64777 }, "the peer sent NOTIFICATION code 2(open) subcode 2(bad peer as)"},
		"TTL":     {"packets that may have crossed a router are not for it: it must answer with TTL 255", func(p *config.Peer) { p.TTLSecurity = 1 }, "the peer sent no OPEN within 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.start(routers["FRR"].config)
			d, _ := w.run(nil, peers(tc.change)[0])
			w.eventually(tc.reason, func() bool { o := d.Observed(); return len(o) == 1 && o[0].Error == tc.want },
				func() string { return fmt.Sprintf("%+v", d.Observed()) })
			if s := d.Observed()[0].State; s == Established {
				t.Error("the session is established")
			}
		})
	}
}

// TestPassword has a router that wants signed segments (RFC 2385).
func TestPassword(t *testing.T) {
	frr, ok := routers["FRR"].config.(router.FRR)
	if !ok {
		t.Fatal("not FRR")
	}
	signed := router.FRR{"zebra": "", "bgpd": strings.Replace(frr["bgpd"], " address-family ipv4", ` neighbor 192.0.2.1 password secret
 neighbor 2001:db8::1 password secret
 address-family ipv4`, 1)}
	w := newWire(t)
	w.start(signed)
	all := peers(func(*config.Peer) {})
	d, _ := w.run(nil, all...)
	w.eventually("without a password there is no connection", func() bool {
		o := d.Observed()
		return len(o) == 2 && o[0].Error == "i/o timeout" && o[1].Error == "i/o timeout"
	}, func() string { return fmt.Sprintf("%+v", d.Observed()) })
	with := desired(all...)
	for i := range with.Peers {
		with.Peers[i].Password = "secret"
	}
	d.Set(with)
	w.established(d, 2)

	// Nothing is reset by what does not need it.
	before := d.Observed()[0].Since
	again := peers(func(p *config.Peer) { p.ConnectTime = 7 * time.Second })
	with = desired(again...)
	for i := range with.Peers {
		with.Peers[i].Password = "secret"
	}
	d.Set(with)
	time.Sleep(100 * time.Millisecond)
	if o := d.Observed()[0]; o.State != Established || !o.Since.Equal(before) {
		t.Errorf("a session was reset for nothing: %+v", o)
	}
}

// TestLeave has a router that would not keep the routes be told before they go (RFC 8326).
func TestLeave(t *testing.T) {
	w := newWire(t)
	by := routers["FRR"]
	r := w.start(by.config)
	d, stop := w.run([]announce.Route{route("198.51.100.7/32", &announce.Attributes{}, "v4")}, peers(func(p *config.Peer) { p.RestartTime = 0 })[0])
	w.established(d, 1)
	has := func() []router.Path { return w.has(r, by, "198.51.100.7/32") }
	w.eventually("it is there", func() bool { return len(has()) == 1 }, func() string { return fmt.Sprint(has()) })
	if !d.Leave() {
		t.Error("there is a session that does not outlast the speaker")
	}
	w.eventually("it is about to go", func() bool {
		p := has()
		return len(p) == 1 && slices.Equal(p[0].Communities, []string{router.GracefulShutdown})
	}, func() string { return fmt.Sprint(has()) })
	stop()
	w.eventually("it is gone", func() bool { return len(has()) == 0 }, func() string { return fmt.Sprint(has()) })
}

func (w *wire) log() logr.Logger {
	if t, ok := w.TB.(*testing.T); ok {
		return testr.New(t)
	}
	return logr.Discard()
}
