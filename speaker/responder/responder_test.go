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
}

func newMemory() *memory {
	return &memory{in: make(chan []byte, 16), out: make(chan []byte, 256), closed: make(chan struct{})}
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
}

// run runs a story with a Responder of each protocol, in bubbles of fake time.
func run(t *testing.T, story func(t *testing.T, r *rig)) {
	for _, f := range families {
		t.Run(f.protocol.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f.run(t, story) })
		})
	}
}

func (f family) run(t *testing.T, story func(t *testing.T, r *rig)) {
	r := &rig{Responder: New(f.protocol, logr.Discard(), func() {}), family: f, links: map[string]*memory{}}
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

func on(a netip.Addr, links ...string) announce.L2 { return announce.L2{Address: a, Links: links} }

func expect(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: -want, +got:\n%s", what, diff)
	}
}

func TestAnswers(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{[]link.Link{eth(1, "eth0"), eth(2, "eth1")}, []announce.L2{on(r.vip, "eth0")}})
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
		r.links["eth0"].send(t, r.foreign)
		synctest.Wait()
		expect(t, "somebody else's claim", nil, r.links["eth0"].sent())

		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(r.them, "eth0")}})
		synctest.Wait()
		r.links["eth0"].sent()
		r.links["eth0"].in <- r.ask(r.them, r.vip) // was queued under the old filter
		synctest.Wait()
		expect(t, "asked for what was lost", nil, r.links["eth0"].sent())
	})
}

func TestBurst(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(r.vip, "eth0")}})
		count := 0
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			count += len(r.links["eth0"].sent())
		}
		if want := len(r.claims(ourMAC)) * len(rounds); count != want {
			t.Errorf("%d gratuitous packets, want %d", count, want)
		}
		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(r.vip, "eth0")}})
		synctest.Wait()
		expect(t, "the same again", nil, r.links["eth0"].sent())
	})
}

func TestLinkComesLater(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{nil, []announce.L2{on(r.vip, "eth0")}})
		synctest.Wait()
		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(r.vip, "eth0")}})
		synctest.Wait()
		expect(t, "when the link appears", r.claims(ourMAC), r.links["eth0"].sent())

		moved := eth(1, "eth0")
		moved.MAC = theirMAC
		old := r.links["eth0"]
		r.Set(Desired{[]link.Link{moved}, []announce.L2{on(r.vip, "eth0")}})
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
		r.Set(Desired{[]link.Link{eth(1, "eth0"), eth(2, "eth1")}, []announce.L2{on(r.vip, "eth0"), on(r.them, "eth1")}})
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
		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(r.vip, "eth0")}})
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
		var all []announce.L2
		for _, f := range families {
			all = append(all, on(f.vip, "eth0"))
		}
		r.Set(Desired{[]link.Link{eth(1, "eth0")}, all})
		synctest.Wait()
		if got := r.Observed().Answering; len(got) != 1 || got[0] != r.vip {
			t.Errorf("answers for %s, want %s", got, r.vip)
		}
	})
}
