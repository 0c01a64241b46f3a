package gossip

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func newDelegate(t *testing.T) *delegate {
	t.Helper()
	h, err := newHeartbeats("self", make([]byte, 16), func([]byte, netip.AddrPort) {}, hooks{changed: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.stop)
	return &delegate{self: "self", changed: func() {}, heartbeats: h, alive: map[string]neighbour{}, inbox: func([]byte) {}}
}

func listed(name string, meta []byte) *memberlist.Node {
	return &memberlist.Node{Name: name, Addr: net.IPv4(192, 0, 2, 1), Port: 9478, Meta: meta}
}

// TestOlderWord: what another said last counts, by whichever way the rest comes after it.
func TestOlderWord(t *testing.T) {
	d := newDelegate(t)
	now := time.Unix(1_000_000, 0)
	first := Report{Links: []string{"eth0"}}.after(said{}, now)
	down := Report{Links: []string{}}.after(first, now.Add(time.Second))
	up := Report{Links: []string{"eth0"}}.after(down, now.Add(1100*time.Millisecond))
	for _, step := range []struct {
		reason string
		do     func()
		want   said
	}{
		{"it joins", func() { d.NotifyJoin(listed("a", first.encode())) }, first},
		{"it says so itself", func() { d.NotifyMsg(message("a", down)) }, down},
		{"and again", func() { d.NotifyMsg(message("a", up)) }, up},
		{"a third speaker passes on by gossip what it had heard before", func() { d.NotifyUpdate(listed("a", down.encode())) }, up},
		{"or what it had read of a fourth", func() { d.NotifyJoin(listed("a", first.encode())) }, up},
		{"it comes late itself", func() { d.NotifyMsg(message("a", down)) }, up},
		{"it ends, and starts with another clock", func() { d.NotifyLeave(listed("a", nil)); d.NotifyJoin(listed("a", first.encode())) }, first},
	} {
		step.do()
		if got := d.alive["a"].report; got.stamp != step.want.stamp || !got.equal(step.want.Report) {
			t.Fatalf("%s: it says %+v, want %+v", step.reason, got, step.want)
		}
	}
}

// TestNotesInOrder: the ring knows who lives, however many notes come at the same time.
func TestNotesInOrder(t *testing.T) {
	d := newDelegate(t)
	for round := range 500 {
		name := fmt.Sprint("n", round%50)
		d.NotifyJoin(listed("b", Report{}.after(said{}, time.Unix(1, 0)).encode()))
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() { d.NotifyMsg(message("b", Report{}.after(said{}, time.Unix(int64(2+round+i), 0)))) })
		}
		all.Go(func() { d.NotifyJoin(listed(name, nil)) })
		all.Wait()
		d.heartbeats.mu.Lock()
		known := d.heartbeats.ring.knows(name)
		d.heartbeats.mu.Unlock()
		if !known {
			t.Fatalf("in round %d the ring does not know one who has joined", round)
		}
		d.NotifyLeave(listed(name, nil))
	}
}

// TestSendsWithoutLock: who is slow to send holds up nobody who asks.
func TestSendsWithoutLock(t *testing.T) {
	var h *heartbeats
	sent := make(chan struct{}, 64)
	h, err := newHeartbeats("a", make([]byte, 16), func([]byte, netip.AddrPort) {
		h.doubted() // takes the lock
		sent <- struct{}{}
	}, hooks{changed: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.stop()
	h.living(map[string]netip.AddrPort{"a": {}, "b": {}})
	select {
	case <-sent:
	case <-time.After(limit):
		t.Fatal("nothing is sent, or under the lock")
	}
}
