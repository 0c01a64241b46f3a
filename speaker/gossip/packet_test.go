package gossip

import (
	"slices"
	"testing"
	"time"
)

func TestPacket(t *testing.T) {
	a := authenticatorOf([]byte("0123456789abcdef"))
	for _, p := range []packet{{"node-1", "", 7, 0}, {"node-1", "node-2", 1 << 62, 6}, {"", "", 0, 0}, {"", "x", -1, -1}} {
		b := a.encode(p, "node-3")
		if got, ok := a.decode(b, "node-3"); !ok || got != p {
			t.Errorf("%+v: read %+v, %t", p, got, ok)
		}
		for i := range b {
			for _, broken := range [][]byte{b[:i], slices.Concat(b[:i], []byte{b[i] ^ 1}, b[i+1:])} {
				if _, ok := a.decode(broken, "node-3"); ok {
					t.Errorf("%x is taken for %x", broken, b)
				}
			}
		}
		if _, ok := authenticatorOf([]byte("fedcba9876543210")).decode(b, "node-3"); ok {
			t.Error("read by another key")
		}
		if _, ok := a.decode(b, "node-4"); ok {
			t.Error("read by another node than it was sent to")
		}
	}
}

// TestFreshness has two nodes, a and b, send each other packets, and a third party send some again.
func TestFreshness(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	type pair struct{ a, b *freshness }
	cases := map[string]struct {
		reason string
		do     func(pair) bool
		want   bool
	}{
		"First": {"the first packet of a sender", func(p pair) bool { return p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b") }, true},
		"Later": {"and the next", func(p pair) bool {
			p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b")
			return p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b")
		}, true},
		"Replay": {"the same once more", func(p pair) bool {
			x := p.a.send(packet{from: "a"}, "b", at)
			p.b.hear(x, "b")
			return p.b.hear(x, "b")
		}, false},
		"Older": {"one that was held back", func(p pair) bool {
			x := p.a.send(packet{from: "a"}, "b", at)
			p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b")
			return p.b.hear(x, "b")
		}, false},
		"ClockSetBack": {"a clock that is set back while the sender runs", func(p pair) bool {
			p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b")
			return p.b.hear(p.a.send(packet{from: "a"}, "b", at.Add(-time.Hour)), "b")
		}, true},
		"RestartedInThePast": {"one that was restarted with a clock that is behind cannot be told from a replay", func(p pair) bool {
			p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b")
			*p.a = newFreshness()
			return p.b.hear(p.a.send(packet{from: "a"}, "b", at.Add(-time.Hour)), "b")
		}, false},
		"Echo": {"until it echoes what it is asked", func(p pair) bool {
			p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b")
			*p.a = newFreshness()
			p.a.hear(p.b.send(packet{from: "b", about: "a"}, "a", at), "a")
			return p.b.hear(p.a.send(packet{from: "a"}, "b", at.Add(-time.Hour)), "b")
		}, true},
		"EchoOfTheFirst": {"be it that it was asked again meanwhile", func(p pair) bool {
			p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b")
			*p.a = newFreshness()
			p.a.hear(p.b.send(packet{from: "b", about: "a"}, "a", at), "a")
			p.b.send(packet{from: "b", about: "a"}, "a", at.Add(time.Second))
			return p.b.hear(p.a.send(packet{from: "a"}, "b", at.Add(-time.Hour)), "b")
		}, true},
		"EchoReplayed": {"which proves nothing the next time", func(p pair) bool {
			p.a.hear(p.b.send(packet{from: "b", about: "a"}, "a", at), "a")
			x := p.a.send(packet{from: "a"}, "b", at)
			p.b.hear(x, "b")
			p.b.send(packet{from: "b", about: "a"}, "a", at.Add(time.Minute))
			return p.b.hear(x, "b")
		}, false},
		"EchoUnasked": {"nor does one of what was not asked", func(p pair) bool {
			p.b.hear(p.a.send(packet{from: "a"}, "b", at), "b")
			return p.b.hear(packet{from: "a", stamp: 1, echo: at.UnixNano()}, "b")
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := newFreshness(), newFreshness()
			if got := tc.do(pair{&a, &b}); got != tc.want {
				t.Errorf("%s: heard: %t", tc.reason, got)
			}
		})
	}
}

func FuzzPacket(f *testing.F) {
	a := authenticatorOf(make([]byte, 16))
	f.Add(a.encode(packet{"node-1", "node-2", 7, 6}, "self")) // a suspicion
	f.Add([]byte{heartbeat, 200})                             // a name that is not there
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := a.decode(b, "self"); ok && string(a.encode(p, "self")) != string(b) {
			t.Fatalf("%x is read as %+v", b, p)
		}
	})
}

func FuzzExchange(f *testing.F) {
	f.Add([]byte{exchangeMark, question, 0, 0, 0, 0, 0, 0, 0, 0, 7, 1, 'a', 192, 0, 2, 7}) // a question
	f.Add([]byte{exchangeMark, answer, 3})                                                 // too short
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, ok := decodeExchange(b); ok && string(encodeExchange(x)) != string(b) {
			t.Fatalf("%x is read as %+v", b, x)
		}
	})
}
