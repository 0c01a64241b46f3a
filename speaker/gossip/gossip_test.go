package gossip

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// limit is how long anything may take here.
const limit = 10 * time.Second

// node is a speaker on an address of the loopback interface.
type node struct {
	*Gossip
	addr    netip.Addr
	kernel  atomic.Bool // answers for the others' kernels
	changed chan struct{}
	// asked answers questions.
	asked    atomic.Pointer[func(Question)]
	answered chan Answer
	stop     func()
}

func start(t testing.TB, i int, grace time.Duration) *node {
	t.Helper()
	n := &node{addr: netip.AddrFrom4([4]byte{127, 9, 0, byte(i)}), changed: make(chan struct{}, 1), answered: make(chan Answer, 8)}
	n.kernel.Store(true)
	n.Gossip = New(Options{Node: fmt.Sprint("node-", i), Port: 29478, Grace: grace, Log: logr.Discard(), Answered: func(x Answer) { n.answered <- x }, Asked: func(q Question) {
		if f := n.asked.Load(); f != nil {
			(*f)(q)
		}
	}, Changed: func() {
		select {
		case n.changed <- struct{}{}:
		default:
		}
	}})
	n.answers = func(ctx context.Context, at netip.Addr, port uint16) bool {
		return n.kernel.Load() && answers(ctx, at, port)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(n.stop)
	return n
}

// sees waits until a node is seen as it should be.
func (n *node) sees(t testing.TB, other string, want announce.Presence) Member {
	t.Helper()
	late := time.After(limit)
	for {
		if m := n.Observed().Members[other]; m.Presence == want {
			return m
		}
		select {
		case <-n.changed:
		case <-late:
			t.Fatalf("%s: %s is %s, want %s", n.Node, other, n.Observed().Members[other].Presence, want)
		}
	}
}

// Three speakers meet, say things, are restarted, die, and come back.
func TestGossip(t *testing.T) {
	key, other := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	nodes := map[string]*node{}
	for i := 1; i <= 3; i++ {
		n := start(t, i, time.Second)
		nodes[n.Node] = n
	}
	set := func(n *node, key []byte, w Report) {
		peers := map[string]netip.Addr{}
		for name, o := range nodes {
			if name != n.Node {
				peers[name] = o.addr
			}
		}
		n.Set(Desired{Self: n.addr, Key: key, Peers: peers, Report: w})
	}
	a, b, c := nodes["node-1"], nodes["node-2"], nodes["node-3"]
	for _, n := range nodes {
		set(n, key, Report{})
	}
	for _, n := range nodes {
		for name := range nodes {
			if name != n.Node {
				n.sees(t, name, announce.Alive)
			}
		}
	}

	set(b, key, Report{Impaired: true, Links: []string{"eth0"}})
	for late := time.After(limit); !a.Observed().Members["node-2"].Report.Impaired; {
		select {
		case <-a.changed:
		case <-late:
			t.Fatal("what a speaker says is not heard")
		}
	}

	// One is asked whether it announces an address, and answers.
	b.asked.Store(new(func(q Question) { b.Reply(q, q.Addr.Is4(), q.Addr.Is6()) }))
	for _, addr := range []string{"192.0.2.7", "2001:db8::7"} {
		a.Ask("node-2", netip.MustParseAddr(addr))
		select {
		case got := <-a.answered:
			if got.From != "node-2" || got.Addr.String() != addr || got.Announces != got.Addr.Is4() || got.Returning != got.Addr.Is6() {
				t.Errorf("answered %+v", got)
			}
		case <-time.After(limit):
			t.Fatal("no answer")
		}
	}

	// A speaker that stops is away, as its kernel answers, and gone when it does not return in time.
	c.stop()
	a.sees(t, "node-3", announce.Away)
	a.sees(t, "node-3", announce.Gone)
	c = start(t, 3, time.Second)
	nodes["node-3"] = c
	set(c, key, Report{})
	a.sees(t, "node-3", announce.Alive)
	b.sees(t, "node-3", announce.Alive)
	if got := a.Observed().Heals; got != 1 {
		t.Errorf("%d heals, want 1", got)
	}

	// Where the kernel is silent too, it is gone at once.
	a.kernel.Store(false)
	c.stop()
	a.sees(t, "node-3", announce.Gone)

	// The key is exchanged while they talk.
	for _, n := range []*node{a, b} {
		set(n, other, Report{})
	}
	for late := time.After(limit); a.Observed().Members["node-2"].Report.Impaired; {
		select {
		case <-a.changed:
		case <-late:
			t.Fatal("nothing is heard by the new key")
		}
	}
}

// Who has another key is not talked to, nor who has a former one for too long.
func TestKeys(t *testing.T) {
	keys := [][]byte{[]byte("0123456789abcdef"), []byte("fedcba9876543210")}
	var lists []list
	changed := make(chan struct{}, 100)
	var rejected atomic.Int64
	var at []netip.AddrPort
	for i, key := range keys {
		at = append(at, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, 1, byte(i + 1)}), 29478))
		l, err := begin(fmt.Sprint(i), at[i], key, Report{}, hooks{func() { changed <- struct{}{} }, func([]byte) {}, func() { rejected.Add(1) }}, logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		lists = append(lists, l)
	}
	if err := lists[0].join(at[1]); err == nil {
		t.Error("joined by another key")
	}
	if rejected.Load() == 0 {
		t.Error("a packet by another key does not count as rejected")
	}
	if err := lists[0].rekey(keys[1]); err != nil {
		t.Fatal(err)
	}
	if err := lists[0].join(at[1]); err != nil {
		t.Error(err)
	}
	for late := time.After(limit); len(lists[1].alive()) != 2; {
		select {
		case <-changed:
		case <-late:
			t.Fatalf("alive are %v", lists[1].alive())
		}
	}
	former, err := begin("former", netip.MustParseAddrPort("127.9.1.3:29478"), keys[0], Report{}, hooks{func() {}, func([]byte) {}, func() {}}, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer former.close()
	lists[0].forget()
	if err := former.join(at[0]); err == nil {
		t.Error("joined by a key that is forgotten")
	}
}

// An address that is not there is tried again, and said to be the trouble.
func TestNoAddress(t *testing.T) {
	n := start(t, 1, time.Second)
	n.Set(Desired{Self: netip.MustParseAddr("192.0.2.1"), Key: make([]byte, 32)})
	select {
	case <-n.changed:
	case <-time.After(limit):
	}
	if n.Observed().Error == nil {
		t.Error("no error")
	}
	n.Set(Desired{Self: n.addr, Key: make([]byte, 32)})
	select {
	case <-n.changed:
	case <-time.After(limit):
	}
	if err := n.Observed().Error; err != nil {
		t.Error(err)
	}
}

func TestAnswers(t *testing.T) {
	if !answers(t.Context(), netip.MustParseAddr("127.9.0.9"), 29479) {
		t.Error("a kernel that refuses is not heard")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if answers(ctx, netip.MustParseAddr("127.9.0.9"), 29479) {
		t.Error("heard after the end")
	}
}

// What another says of itself is heard at once, not only with what memberlist gossips.
func TestMessage(t *testing.T) {
	w := said{Report{Impaired: true, Links: []string{"eth0", "eth1"}}, 7}
	b := message("node-2", w)
	late := message("node-2", said{Report{Links: []string{}}, 6})
	for i := range 1 + len("node-2") {
		if name, _, ok := decodeMessage(b[:i]); ok {
			t.Errorf("%x is of %q", b[:i], name)
		}
	}

	h, err := newHeartbeats("node-1", make([]byte, 16), func([]byte, netip.AddrPort) {}, hooks{changed: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.stop()
	news := 0
	at := netip.MustParseAddrPort("192.0.2.2:1")
	d := &delegate{self: "node-1", changed: func() { news++ }, heartbeats: h, inbox: func([]byte) {}, alive: map[string]neighbour{"node-1": {}, "node-2": {at: at}}}
	for _, b := range [][]byte{nil, {9, 'x'}, message("node-3", w), b, late} {
		d.NotifyMsg(b)
	}
	if got := d.alive["node-2"]; !got.report.equal(w.Report) || got.at != at || len(d.alive) != 2 || news == 0 {
		t.Errorf("alive are %v, after %d news", d.alive, news)
	}
	if got := d.others(); len(got) != 1 || got[0] != at {
		t.Errorf("others are at %s", got)
	}
}
