package responder

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/bpf"
	"golang.org/x/time/rate"

	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// memory is a link in memory: what is sent to it is filtered as the kernel does.
type memory struct {
	in, out chan []byte
	closed  chan struct{}
	once    sync.Once

	mu     sync.Mutex
	filter *bpf.VM
	groups []netip.Addr
	admits int
}

func newMemory() *memory {
	return &memory{in: make(chan []byte, 16), out: make(chan []byte, 4096), closed: make(chan struct{})}
}

func (m *memory) Read(b []byte) (int, error) {
	select {
	case f := <-m.in:
		return copy(b, f), nil
	case <-m.closed:
		return 0, net.ErrClosed
	}
}

func (m *memory) Write(f []byte) (int, error) {
	select {
	case m.out <- f:
		return len(f), nil
	case <-m.closed:
		return 0, net.ErrClosed
	}
}

func (m *memory) Admit(raw []bpf.RawInstruction, groups []netip.Addr) error {
	program, ok := bpf.Disassemble(raw)
	if !ok {
		return errors.New("cannot disassemble")
	}
	vm, err := bpf.NewVM(program)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.filter, m.groups = vm, groups
	m.admits++
	return err
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// send is a neighbour's frame on the wire.
func (m *memory) send(t *testing.T, frame []byte) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, err := m.filter.Run(frame); err != nil {
		t.Fatal(err)
	} else if n > 0 {
		m.in <- frame
	}
}

// sent returns what has been sent on the link, in words.
func (m *memory) sent() []string {
	var out []string
	for {
		select {
		case f := <-m.out:
			out = append(out, describe(f))
		default:
			return out
		}
	}
}

// rig is a Responder on links in memory.
type rig struct {
	*Responder
	family
	links map[string]*memory
	fail  sync.Map // name of a link to the error of opening it
	seen  []Sighting
}

// run runs a story with a Responder of each protocol, in bubbles of fake time.
func run(t *testing.T, story func(t *testing.T, r *rig)) {
	t.Helper()
	for _, f := range families {
		t.Run(f.protocol.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f.run(t, nil, story) })
		})
	}
}

func (f family) run(t *testing.T, budget *rate.Limiter, story func(t *testing.T, r *rig)) {
	r := &rig{family: f, links: map[string]*memory{}}
	r.Responder = New(f.protocol, Options{Log: logr.Discard(), Budget: budget, Seen: func(s Sighting) { r.seen = append(r.seen, s) }})
	r.open = func(l link.Link, _ Protocol, first []bpf.RawInstruction) (conn, error) {
		if err, ok := r.fail.Load(l.Name); ok {
			return nil, err.(error)
		}
		m := newMemory()
		r.links[l.Name] = m
		return m, m.Admit(first, nil)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	story(t, r)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func eth(index int, name string) link.Link { return link.Link{Index: index, Name: name, MAC: ourMAC} }

func on(a netip.Addr, links ...string) announce.Task { return announce.Task{Addr: a, Links: links} }

func expect(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: -want, +got:\n%s", what, diff)
	}
}

func TestAnswers(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{Links: []link.Link{eth(1, "eth0"), eth(2, "eth1")}, Addresses: []announce.Task{on(r.vip, "eth0")}})
		synctest.Wait()
		expect(t, "on gain", r.claims(ourMAC), r.links["eth0"].sent())
		if r.links["eth1"] != nil {
			t.Error("a link without addresses has a socket")
		}

		r.links["eth0"].send(t, r.ask(r.them, r.vip))
		synctest.Wait()
		expect(t, "asked for ours", r.answers(ourMAC), r.links["eth0"].sent())
		r.links["eth0"].send(t, r.ask(r.them, r.other))
		synctest.Wait()
		expect(t, "asked for others'", nil, r.links["eth0"].sent())
		time.Sleep(5 * time.Second)
		r.links["eth0"].sent() // the rest of the burst
		for i, claim := range r.claim {
			r.links["eth0"].send(t, claim(r.other, theirMAC))
			synctest.Wait()
			expect(t, "somebody else's claim of theirs", nil, r.links["eth0"].sent())
			want := r.claims(ourMAC)
			if i > 0 {
				want = nil
			}
			r.links["eth0"].send(t, claim(r.vip, theirMAC))
			synctest.Wait()
			expect(t, "somebody else's claim of ours is not defended against at once", nil, r.links["eth0"].sent())
			time.Sleep(defendAfter)
			synctest.Wait()
			expect(t, "somebody else's claim of ours is never answered, and defended against once", want, r.links["eth0"].sent())
		}

		r.Set(Desired{Links: []link.Link{eth(1, "eth0")}, Addresses: []announce.Task{on(r.them, "eth0")}})
		synctest.Wait()
		r.links["eth0"].sent()
		r.links["eth0"].in <- r.ask(r.them, r.vip) // was queued under the old filter
		synctest.Wait()
		expect(t, "asked for what was lost", nil, r.links["eth0"].sent())
	})
}

// TestProbed has a neighbour that wants an address be told that it is ours, unless we probe for it too.
func TestProbed(t *testing.T) {
	cases := map[string]struct {
		reason string
		events []event
		want   uint64
	}{
		"Own":      {"it is ours", []event{desire(announce.Own)}, 1},
		"Settled":  {"it is ours", []event{desire(announce.Fresh), wait(5 * time.Second)}, 1},
		"Probing":  {"it is not ours yet", []event{desire(announce.Fresh)}, 0},
		"Yielding": {"it is not the neighbour's", []event{desire(announce.Own), wait(ms), desire(announce.Yielding)}, 1},
		"Early":    {"what is yielded is probed for no more", []event{desire(announce.Fresh), wait(ms), desire(announce.Yielding)}, 1},
		"Standin":  {"it is somebody's", []event{desire(announce.Standin)}, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				s := &story{T: t, rig: r, start: time.Now()}
				s.happens(append(tc.events, probed)...)
				if got := r.Stats.Replies.Load(); got != tc.want {
					t.Errorf("%s: %d replies, want %d", tc.reason, got, tc.want)
				}
			})
		})
	}
}

// TestRefreshes has an address told again about once a minute, for ever: of the forms of a claim one at a time.
func TestRefreshes(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{Links: []link.Link{eth(1, "eth0")}, Addresses: []announce.Task{on(r.vip, "eth0")}})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		r.links["eth0"].sent()
		last, gaps := time.Now().Add(-2*time.Second), map[time.Duration]bool{}
		forms := r.claims(ourMAC)
		for refreshes := 0; len(gaps) < 20; {
			time.Sleep(grain)
			synctest.Wait()
			sent := r.links["eth0"].sent()
			gap := time.Since(last)
			if len(sent) == 0 {
				if gap > 75*time.Second {
					t.Fatalf("nothing for %s", gap)
				}
				continue
			}
			expect(t, "refresh", forms[refreshes%len(forms):][:1], sent)
			refreshes++
			if gap < 45*time.Second-grain || gap > 75*time.Second {
				t.Fatalf("told again after %s", gap)
			}
			gaps[gap], last = true, time.Now()
		}
		if got, want := r.Stats.Claims.Load()-r.Stats.Refreshes.Load(), uint64(len(forms)*len(gained)); got != want {
			t.Errorf("%d claims that are no refreshes, want %d", got, want)
		}
	})
}

// TestBudget has more addresses gained at once than can be told of at once: first each is told of, and nothing is lost.
func TestBudget(t *testing.T) {
	const addresses, perSecond = 100, 50
	for _, f := range families {
		t.Run(f.protocol.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f.run(t, rate.NewLimiter(perSecond, 10), func(t *testing.T, r *rig) {
					d := Desired{Links: []link.Link{eth(1, "eth0")}}
					for a := range addresses {
						b := r.vip.AsSlice()
						b[len(b)-1] = byte(a)
						addr, _ := netip.AddrFromSlice(b)
						d.Addresses = append(d.Addresses, on(addr, "eth0"))
					}
					r.Set(d)
					synctest.Wait()
					r.links["eth0"].send(t, r.ask(r.them, r.vip))
					synctest.Wait()
					if n := r.Stats.Replies.Load(); n != 1 {
						t.Errorf("%d replies: answers are not to wait", n)
					}
					packets := len(r.claims(ourMAC))
					time.Sleep(addresses * time.Duration(packets) * time.Second / perSecond)
					synctest.Wait()
					first := map[string]bool{}
					for _, words := range r.links["eth0"].sent() {
						if first[words] {
							break
						}
						first[words] = true
					}
					if want := addresses*packets + 1; len(first) != want { // and the reply
						t.Errorf("%d packets before any was sent a second time, want %d", len(first), want)
					}
					time.Sleep(3 * addresses * time.Duration(packets) * time.Second / perSecond)
					synctest.Wait()
					if got, want := r.Stats.Claims.Load()-r.Stats.Refreshes.Load(), uint64(packets*addresses*len(gained)); got != want {
						t.Errorf("%d claims in the end, want %d", got, want)
					}
				})
			})
		})
	}
}

// TestManyClaimants has an address claimed by ever new MACs.
func TestManyClaimants(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{Links: []link.Link{eth(1, "eth0")}, Addresses: []announce.Task{on(r.vip, "eth0")}})
		synctest.Wait()
		for i := range 100 {
			r.links["eth0"].send(t, r.claim[0](r.vip, net.HardwareAddr{2, 0, 0, 0, 1, byte(i)}))
			synctest.Wait()
		}
		if len(r.seen) != maxClaimants || r.Stats.Conflicts.Load() != maxClaimants {
			t.Errorf("told of %d, counted %d, want %d", len(r.seen), r.Stats.Conflicts.Load(), maxClaimants)
		}
	})
}

// TestFilterStays: the kernel's filter is replaced only if the addresses are others.
func TestFilterStays(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		set := func(addrs ...announce.Task) int {
			r.Set(Desired{Links: []link.Link{eth(1, "eth0")}, Addresses: addrs})
			synctest.Wait()
			return r.links["eth0"].admits
		}
		as := func(a netip.Addr, m announce.Mode) announce.Task {
			return announce.Task{Addr: a, Links: []string{"eth0"}, Mode: m, MACs: map[string]net.HardwareAddr{"eth0": theirMAC}}
		}
		first := set(as(r.vip, announce.Own))
		for _, m := range []announce.Mode{announce.Own, announce.Fresh, announce.Standin, announce.Yielding, announce.Own} {
			if got := set(as(r.vip, m)); got != first {
				t.Errorf("mode %d: replaced", m)
			}
		}
		if got := set(as(r.other, announce.Own), as(r.vip, announce.Own), as(r.vip, announce.Own)); got != first+1 {
			t.Errorf("another address: replaced %d times, want once", got-first)
		}
		if got := set(as(r.vip, announce.Own), as(r.other, announce.Own)); got != first+1 {
			t.Errorf("another order: replaced %d times, want once", got-first)
		}
		if got := set(as(r.other, announce.Own)); got != first+2 {
			t.Errorf("an address less: replaced %d times, want twice", got-first)
		}
	})
}

func TestLinkComesLater(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{Links: nil, Addresses: []announce.Task{on(r.vip, "eth0")}})
		synctest.Wait()
		r.Set(Desired{Links: []link.Link{eth(1, "eth0")}, Addresses: []announce.Task{on(r.vip, "eth0")}})
		synctest.Wait()
		expect(t, "when the link appears", r.claims(ourMAC), r.links["eth0"].sent())

		moved := eth(1, "eth0")
		moved.MAC = theirMAC
		old := r.links["eth0"]
		r.Set(Desired{Links: []link.Link{moved}, Addresses: []announce.Task{on(r.vip, "eth0")}})
		synctest.Wait()
		expect(t, "when its MAC changes", r.claims(theirMAC),
			r.links["eth0"].sent())
		select {
		case <-old.closed:
		default:
			t.Error("the socket with the old MAC is still open")
		}
	})
}

func TestFailureIsTriedAgain(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.fail.Store("eth0", errors.New("operation not permitted"))
		r.Set(Desired{Links: []link.Link{eth(1, "eth0"), eth(2, "eth1")}, Addresses: []announce.Task{on(r.vip, "eth0"), on(r.them, "eth1")}})
		synctest.Wait()
		if diff := cmp.Diff(map[string]string{"eth0": "operation not permitted"}, r.Observed().Errors); diff != "" {
			t.Errorf("errors: -want, +got:\n%s", diff)
		}
		if n := len(r.Observed().Answering); n != 1 {
			t.Errorf("the other link answers for %d addresses, want 1", n)
		}
		r.fail.Delete("eth0")
		time.Sleep(retry)
		synctest.Wait()
		expect(t, "when it works again", r.claims(ourMAC), r.links["eth0"].sent()[:len(r.claims(ourMAC))])

		r.links["eth0"].Close() // as when the kernel fails a read
		synctest.Wait()
		expect(t, "after the socket failed", r.claims(ourMAC), r.links["eth0"].sent())
	})
}

func TestGroups(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{Links: []link.Link{eth(1, "eth0")}, Addresses: []announce.Task{on(r.vip, "eth0")}})
		synctest.Wait()
		same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
		if diff := cmp.Diff(r.groups, r.links["eth0"].groups, same); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
	})
}

// TestFamilies has each protocol leave the other's addresses alone.
func TestFamilies(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		var all []announce.Task
		for _, f := range families {
			all = append(all, on(f.vip, "eth0"))
		}
		r.Set(Desired{Links: []link.Link{eth(1, "eth0")}, Addresses: all})
		synctest.Wait()
		if got := r.Observed().Answering; len(got) != 1 || got[0] != r.vip {
			t.Errorf("answers for %s, want %s", got, r.vip)
		}
	})
}
