package arp

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

func (m *memory) SetBPF(raw []bpf.RawInstruction) error {
	program, ok := bpf.Disassemble(raw)
	if !ok {
		return errors.New("cannot disassemble")
	}
	vm, err := bpf.NewVM(program)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.filter = vm
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

func describe(f []byte) string {
	sender := netip.AddrFrom4([4]byte(f[28:32])).String() + " is at " + net.HardwareAddr(f[22:28]).String()
	switch {
	case f[0] == 255 && f[21] == 1:
		return "gratuitous request: " + sender
	case f[0] == 255:
		return "gratuitous reply: " + sender
	default:
		return "reply to " + net.HardwareAddr(f[:6]).String() + ": " + sender
	}
}

// rig is a Responder on links in memory.
type rig struct {
	*Responder
	links map[string]*memory
	fail  map[string]error
}

// run runs a story with a Responder, in a bubble of fake time.
func run(t *testing.T, story func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{Responder: New(logr.Discard(), func() {}), links: map[string]*memory{}, fail: map[string]error{}}
		r.open = func(l link.Link, first []bpf.RawInstruction) (conn, error) {
			if err := r.fail[l.Name]; err != nil {
				return nil, err
			}
			m := newMemory()
			r.links[l.Name] = m
			return m, m.SetBPF(first)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		story(t, r)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func eth(index int, name string) link.Link { return link.Link{Index: index, Name: name, MAC: ourMAC} }

func on(a netip.Addr, links ...string) announce.L2 { return announce.L2{Address: a, Links: links} }

func expect(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: -want, +got:\n%s", what, diff)
	}
}

var (
	claimed  = []string{"gratuitous request: 192.0.2.7 is at 02:00:00:00:00:01", "gratuitous reply: 192.0.2.7 is at 02:00:00:00:00:01"}
	answered = []string{"reply to 02:00:00:00:00:02: 192.0.2.7 is at 02:00:00:00:00:01"}
)

func TestAnswers(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{[]link.Link{eth(1, "eth0"), eth(2, "eth1")}, []announce.L2{on(vip, "eth0")}})
		synctest.Wait()
		expect(t, "on gain", claimed, r.links["eth0"].sent())
		if r.links["eth1"] != nil {
			t.Error("a link without addresses has a socket")
		}

		r.links["eth0"].send(t, ask(t, them, vip))
		synctest.Wait()
		expect(t, "asked for ours", answered, r.links["eth0"].sent())
		r.links["eth0"].send(t, ask(t, vip, vip))
		synctest.Wait()
		expect(t, "somebody else's gratuitous request", nil, r.links["eth0"].sent())

		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(them, "eth0")}})
		synctest.Wait()
		r.links["eth0"].sent()
		r.links["eth0"].in <- ask(t, them, vip) // was queued under the old filter
		synctest.Wait()
		expect(t, "asked for what was lost", nil, r.links["eth0"].sent())
	})
}

func TestBurst(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(vip, "eth0")}})
		count := 0
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			count += len(r.links["eth0"].sent())
		}
		if want := 2 * len(rounds); count != want {
			t.Errorf("%d gratuitous packets, want %d", count, want)
		}
		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(vip, "eth0")}})
		synctest.Wait()
		expect(t, "the same again", nil, r.links["eth0"].sent())
	})
}

func TestLinkComesLater(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.Set(Desired{nil, []announce.L2{on(vip, "eth0")}})
		synctest.Wait()
		r.Set(Desired{[]link.Link{eth(1, "eth0")}, []announce.L2{on(vip, "eth0")}})
		synctest.Wait()
		expect(t, "when the link appears", claimed, r.links["eth0"].sent())

		moved := eth(1, "eth0")
		moved.MAC = theirMAC
		old := r.links["eth0"]
		r.Set(Desired{[]link.Link{moved}, []announce.L2{on(vip, "eth0")}})
		synctest.Wait()
		expect(t, "when its MAC changes", []string{"gratuitous request: 192.0.2.7 is at 02:00:00:00:00:02", "gratuitous reply: 192.0.2.7 is at 02:00:00:00:00:02"},
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
		r.fail["eth0"] = errors.New("operation not permitted")
		r.Set(Desired{[]link.Link{eth(1, "eth0"), eth(2, "eth1")}, []announce.L2{on(vip, "eth0"), on(them, "eth1")}})
		synctest.Wait()
		if diff := cmp.Diff(map[string]string{"eth0": "operation not permitted"}, r.Observed().Errors); diff != "" {
			t.Errorf("errors: -want, +got:\n%s", diff)
		}
		if n := len(r.Observed().Answering); n != 1 {
			t.Errorf("the other link answers for %d addresses, want 1", n)
		}
		delete(r.fail, "eth0")
		time.Sleep(retry)
		synctest.Wait()
		expect(t, "when it works again", claimed, r.links["eth0"].sent()[:2])

		r.links["eth0"].Close() // as when the kernel fails a read
		synctest.Wait()
		expect(t, "after the socket failed", claimed, r.links["eth0"].sent())
	})
}
