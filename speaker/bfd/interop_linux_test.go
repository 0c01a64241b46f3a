package bfd

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/fairlead-lb/fairlead/internal/netns"
	"github.com/fairlead-lb/fairlead/internal/router"
)

// wire is a network namespace for us and one for a router, and a cable between them. On the router's side it has a second
// interface, whose address is two hops away for us.
type wire struct {
	testing.TB

	us, router string
}

func newWire(t testing.TB) *wire {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	w := &wire{t, fmt.Sprintf("fairlead-%d-us", os.Getpid()), fmt.Sprintf("fairlead-%d-router", os.Getpid())}
	for _, ns := range []string{w.us, w.router} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Fatalf("make a network namespace: %s (%v)", out, err)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
		w.ip("-n " + ns + " link set lo up")
	}
	w.ip("-n " + w.us + " link add eth0 type veth peer name eth0 netns " + w.router)
	w.ip("-n " + w.us + " addr add 192.0.2.1/24 dev eth0")
	w.ip("-n " + w.us + " addr add 2001:db8::1/64 dev eth0 nodad")
	w.ip("-n " + w.us + " addr add fe80::1/64 dev eth0 nodad")
	w.ip("-n " + w.router + " addr add 192.0.2.2/24 dev eth0")
	w.ip("-n " + w.router + " addr add 2001:db8::2/64 dev eth0 nodad")
	w.ip("-n " + w.router + " addr add fe80::2/64 dev eth0 nodad")
	w.ip("-n " + w.router + " addr add 198.51.100.2/32 dev lo")
	for _, ns := range []string{w.us, w.router} {
		w.ip("-n " + ns + " link set eth0 up")
	}
	w.ip("-n " + w.us + " route add 198.51.100.2/32 via 192.0.2.2")
	return w
}

func (w *wire) ip(args string) {
	w.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		w.Fatalf("ip %s: %s (%v)", args, bytes.TrimSpace(out), err)
	}
}

// cable pulls the cable, or puts it in.
func (w *wire) cable(in bool) {
	w.ip("-n " + w.router + " link set eth0 " + map[bool]string{true: "up", false: "down"}[in])
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

// on runs f in a namespace.
func (w *wire) on(namespace string, f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := netns.Do(netns.Path(namespace), func() error { f(); return nil }); err != nil {
			w.Error(err)
		}
	}()
	return done
}

// history is what a Driver told.
type history struct {
	sync.Mutex

	told []string
}

func (h *history) note(name string, s Status) {
	h.Lock()
	defer h.Unlock()
	h.told = append(h.told, fmt.Sprintf("%s %s (%s)", name, s.State, s.Cause))
}

func (h *history) String() string {
	h.Lock()
	defer h.Unlock()
	return strings.Join(h.told, ", ")
}

// run runs a Driver until stop.
func (w *wire) run(all ...Session) (d *Driver, h *history, stop func()) {
	w.Helper()
	h = &history{}
	d = New(Options{Log: logr.Discard(), Changed: h.note})
	d.Set(all)
	ctx, cancel := context.WithCancel(context.Background())
	done := w.on(w.us, func() {
		if err := d.Run(ctx); err != nil {
			w.Error(err)
		}
	})
	stop = func() { cancel(); <-done }
	w.Cleanup(stop)
	return d, h, stop
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

func (w *wire) all(d *Driver, s State) (func() bool, func() string) {
	return func() bool {
			if len(d.Observed()) != len(*d.desired.Load()) {
				return false
			}
			for _, o := range d.Observed() {
				if o.State != s {
					return false
				}
			}
			return true
		}, func() string {
			return fmt.Sprintf("%+v, of no session: %v", d.Observed(), d.Discards())
		}
}

var fast = Profile{Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond}

// sessions are those that a router without BGP can have: over IPv4 and IPv6, with link-local addresses, and over several hops.
func sessions(p Profile) []Session {
	far := p
	far.MinimumTTL = 60 // BIRD sends with 64
	return []Session{
		{Name: "v4", Peer: netip.MustParseAddr("192.0.2.2"), Interface: "eth0", Profile: p},
		{Name: "v6", Peer: netip.MustParseAddr("2001:db8::2"), Local: netip.MustParseAddr("2001:db8::1"), Profile: p},
		{Name: "link-local", Peer: netip.MustParseAddr("fe80::2%eth0"), Local: netip.MustParseAddr("fe80::1"), Profile: p},
		{Name: "multihop", Peer: netip.MustParseAddr("198.51.100.2"), Local: netip.MustParseAddr("192.0.2.1"), Multihop: true, Profile: far},
	}
}

var frrPeers = router.FRR{"zebra": "", "bfdd": `bfd
 profile fast
  receive-interval 100
  transmit-interval 100
 peer 192.0.2.1 interface eth0
  profile fast
 peer 2001:db8::1 local-address 2001:db8::2
  profile fast
 peer fe80::1 local-address fe80::2 interface eth0
  profile fast
 peer 192.0.2.1 multihop local-address 198.51.100.2
  profile fast
`}

const birdPeers = router.BIRD(`log stderr all;
router id 192.0.2.2;
protocol device {}
protocol bfd {
  interface "eth0" { interval 100 ms; multiplier 3; };
  multihop { interval 100 ms; multiplier 3; };
  neighbor 192.0.2.1 dev "eth0";
  neighbor 2001:db8::1 dev "eth0" local 2001:db8::2;
  neighbor fe80::1 dev "eth0" local fe80::2;
  neighbor 192.0.2.1 local 198.51.100.2 multihop;
}
`)

var routers = map[string]struct {
	config router.Config
	ask    string
	up     func(string) ([]netip.Addr, error)
}{
	"FRR":  {frrPeers, "show bfd peers json", func(s string) ([]netip.Addr, error) { return router.ParseFRRBFD([]byte(s)) }},
	"BIRD": {birdPeers, "show bfd sessions", router.ParseBIRDBFD},
}

// TestRouters has sessions of all kinds with FRR and with BIRD, through all that happens to them.
func TestRouters(t *testing.T) {
	for name, tc := range routers {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			r := w.start(tc.config)
			said := func() string {
				text, err := r.Ask(t.Context(), tc.ask)
				return fmt.Sprint(text, err)
			}
			theirs := func(n int) func() bool {
				return func() bool {
					text, err := r.Ask(t.Context(), tc.ask)
					if err != nil {
						return false
					}
					up, err := tc.up(text)
					return err == nil && len(up) == n
				}
			}
			d, h, stop := w.run(sessions(fast)...)
			up, status := w.all(d, Up)
			w.eventually("up", up, func() string { return status() + said() })
			w.eventually("up at the router", theirs(4), func() string { return said() + status() })
			agreed := func(interval, detection time.Duration) func() bool {
				return func() bool {
					for _, s := range d.Observed() {
						if s.Transmit != interval || s.Detection != detection {
							return false
						}
					}
					return true
				}
			}
			w.eventually("timers are agreed upon", agreed(100*time.Millisecond, 300*time.Millisecond), status)

			before := h.String()
			slower := Profile{Receive: 400 * time.Millisecond, Transmit: 200 * time.Millisecond, Multiplier: 5}
			d.Set(sessions(slower))
			w.eventually("timers are changed", agreed(200*time.Millisecond, 1200*time.Millisecond), func() string { return status() + said() })
			d.Set(sessions(fast))
			w.eventually("and changed back", agreed(100*time.Millisecond, 300*time.Millisecond), status)
			if h.String() != before {
				t.Errorf("sessions flap when timers change: %s", h)
			}

			w.cable(false)
			down, _ := w.all(d, Down)
			if took := w.eventually("down", down, status); took > 450*time.Millisecond {
				t.Errorf("notices a pulled cable after %s", took)
			}
			for _, s := range d.Observed() {
				if !s.Cause.Failed() {
					t.Errorf("%s is down, but %s", s.Name, s.Cause)
				}
			}
			w.cable(true)
			w.ip("-n " + w.router + " -6 addr replace 2001:db8::2/64 dev eth0 nodad")
			w.ip("-n " + w.router + " -6 addr replace fe80::2/64 dev eth0 nodad")
			w.eventually("up again", up, func() string { return status() + said() })

			d.Set(sessions(fast)[1:])
			w.eventually("one is gone", theirs(3), said)
			stop()
			w.eventually("all are gone", theirs(0), said)
			if text := said(); name == "FRR" && strings.Count(text, `"remote-diagnostic":"administratively down"`) != 4 {
				t.Errorf("the router is not told why: %s", text)
			}
		})
	}
}

// TestPortInUse has another BFD on the node: that is told, nothing else is harmed, and it ends with the other one.
func TestPortInUse(t *testing.T) {
	w := newWire(t)
	first, _, stop := w.run(sessions(fast)[0])
	_, status := w.all(first, Down)
	w.eventually("the first sends", func() bool {
		all := first.Observed()
		return len(all) == 1 && all[0].Counters.Sent > 0 && all[0].Error == ""
	}, status)
	second, _, _ := w.run(sessions(fast)[0], sessions(fast)[3])
	_, status = w.all(second, Down)
	w.eventually("the second says why", func() bool {
		all := second.Observed()
		return len(all) == 2 && strings.HasPrefix(all[0].Error, "UDP port 3784 is in use: does another BFD") && all[1].Error == ""
	}, status)
	stop()
	w.eventually("the second goes on", func() bool { return second.Observed()[0].Error == "" }, status)
}
