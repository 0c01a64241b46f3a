package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// heartbeats sends and hears what its ring decides, on the transport that memberlist uses too.
type heartbeats struct {
	send func(b []byte, to netip.AddrPort)
	on   hooks

	mu    sync.Mutex
	ring  *ring
	fresh freshness
	// keys are the present one, then former ones that are still understood.
	keys  []authenticator
	addrs map[string]netip.AddrPort
	ended bool

	alarm *alarm
	woken sync.WaitGroup
}

func newHeartbeats(self string, key []byte, send func([]byte, netip.AddrPort), on hooks) (*heartbeats, error) {
	a, err := newAlarm()
	if err != nil {
		return nil, err
	}
	h := &heartbeats{send: send, on: on, ring: newRing(self), fresh: newFreshness(), keys: []authenticator{authenticatorOf(key)}, alarm: a}
	h.woken.Go(func() {
		for a.wait() == nil {
			h.do(func(time.Time) {})
		}
	})
	return h, nil
}

// do changes the ring, and sends what follows.
func (h *heartbeats) do(change func(now time.Time)) {
	h.mu.Lock()
	if h.ended {
		h.mu.Unlock()
		return
	}
	now, doubts := time.Now(), h.doubts()
	change(now)
	out, again := h.ring.do(now)
	packets := h.pack(out, now)
	h.alarm.set(again.Sub(now))
	news := !slices.Equal(doubts, h.doubts())
	h.mu.Unlock()
	h.post(packets)
	if news {
		h.on.changed()
	}
}

// addressed is a packet that is ready to be sent.
type addressed struct {
	packet []byte
	to     netip.AddrPort
}

func (h *heartbeats) pack(out []notice, now time.Time) []addressed {
	packets := make([]addressed, 0, len(out))
	for _, l := range out {
		p := h.fresh.send(packet{from: h.ring.self, about: l.about}, l.to, now)
		packets = append(packets, addressed{h.keys[0].encode(p, l.to), h.addrs[l.to]})
	}
	return packets
}

// post sends packets. It is called without the lock.
func (h *heartbeats) post(packets []addressed) {
	for _, p := range packets {
		h.send(p.packet, p.to)
	}
}

// hear takes a packet. What is not authentic, not for this node, or not fresh is dropped.
func (h *heartbeats) hear(b []byte) {
	h.do(func(now time.Time) {
		for _, k := range h.keys {
			p, ok := k.decode(b, h.ring.self)
			switch {
			case !ok:
				continue
			case !h.ring.knows(p.from):
			case !h.fresh.hear(p, h.ring.self):
				h.on.rejected()
			case p.about != "":
				h.ring.doubted(p.about, p.from, now)
			default:
				h.ring.beat(p.from, now)
			}
			return
		}
		h.on.rejected()
	})
}

// living sets who is living, with their addresses.
func (h *heartbeats) living(addrs map[string]netip.AddrPort) {
	h.do(func(now time.Time) {
		for name := range h.addrs {
			if _, still := addrs[name]; !still {
				h.fresh.forget(name)
			}
		}
		h.addrs = addrs
		h.ring.living(slices.Collect(maps.Keys(addrs)), now)
	})
}

// alive notes that another has answered memberlist.
func (h *heartbeats) alive(name string) { h.do(func(now time.Time) { h.ring.alive(name, now) }) }

// doubted returns who is doubted, sorted.
func (h *heartbeats) doubted() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.doubts()
}

func (h *heartbeats) doubts() []string {
	if len(h.ring.doubts) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(h.ring.doubts))
}

// leave has all others doubt this one, that ends.
func (h *heartbeats) leave() {
	h.mu.Lock()
	packets := h.pack(notices(h.ring.others(), h.ring.self), time.Now())
	h.mu.Unlock()
	h.post(packets)
}

// rekey authenticates by another key. What is authenticated by a former one is heard until forget.
func (h *heartbeats) rekey(key []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = append([]authenticator{authenticatorOf(key)}, h.keys...)
}

func (h *heartbeats) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = h.keys[:1]
}

func (h *heartbeats) stop() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.alarm.close()
	h.woken.Wait()
}
