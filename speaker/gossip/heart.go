package gossip

import (
	"crypto/hmac"
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// heart sends and hears what its ring decides, on the transport that memberlist uses too.
type heart struct {
	send    func(b []byte, to netip.AddrPort)
	changed func()

	mu    sync.Mutex
	ring  *ring
	seals []seal
	addrs map[string]netip.AddrPort
	timer *time.Timer
	ended bool
}

func newHeart(self string, key []byte, send func([]byte, netip.AddrPort), changed func()) *heart {
	h := &heart{send: send, changed: changed, ring: newRing(self), seals: []seal{sealOf(key)}}
	h.timer = time.AfterFunc(time.Hour, func() { h.do(func(time.Time) {}) })
	return h
}

// do changes the ring, and sends what follows.
func (h *heart) do(change func(now time.Time)) {
	h.mu.Lock()
	if h.ended {
		h.mu.Unlock()
		return
	}
	now, doubts := time.Now(), h.doubts()
	change(now)
	out, again := h.ring.do(now)
	for _, l := range out {
		h.send(h.seals[0].letter(h.ring.self, l.about), h.addrs[l.to])
	}
	h.timer.Reset(again.Sub(now))
	news := !slices.Equal(doubts, h.doubts())
	h.mu.Unlock()
	if news {
		h.changed()
	}
}

// hear takes a packet. What has not our seal is not for us.
func (h *heart) hear(packet []byte) {
	h.do(func(now time.Time) {
		for _, s := range h.seals {
			if from, about, ok := s.open(packet); ok {
				if about != "" {
					h.ring.doubted(about, now)
				} else {
					h.ring.beat(from, now)
				}
				return
			}
		}
	})
}

// living sets who is living, with their addresses.
func (h *heart) living(addrs map[string]netip.AddrPort) {
	h.do(func(now time.Time) {
		h.addrs = addrs
		h.ring.living(slices.Collect(maps.Keys(addrs)), now)
	})
}

// alive notes that another has answered memberlist.
func (h *heart) alive(name string) { h.do(func(now time.Time) { h.ring.alive(name, now) }) }

// doubted returns who is doubted, sorted.
func (h *heart) doubted() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.doubts()
}

func (h *heart) doubts() []string {
	if len(h.ring.doubts) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(h.ring.doubts))
}

// rekey seals by another key. What is sealed by a former one is heard until forget.
func (h *heart) rekey(key []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seals = append([]seal{sealOf(key)}, h.seals...)
}

func (h *heart) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seals = h.seals[:1]
}

func (h *heart) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.timer.Stop()
}

// seal is a key that letters are authenticated by: HMAC-SHA256 (RFC 2104). They are not encrypted, as they say nothing
// that is not seen on the wire anyway: which nodes there are.
type seal []byte

const (
	// heartbeat is the first byte of a letter. Memberlist's packets begin with the version of their encryption, which is 0 or 1.
	heartbeat = 'H'
	sealSize  = sha256.Size
)

// sealOf derives a key of its own from that of the gossip.
func sealOf(key []byte) seal {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("fairlead heartbeat"))
	return m.Sum(nil)
}

func (s seal) sum(b []byte) []byte {
	m := hmac.New(sha256.New, s)
	m.Write(b)
	return m.Sum(nil)
}

// letter writes a heartbeat, or a doubt about another: a byte, the length of the sender's name, both names, the seal.
func (s seal) letter(from, about string) []byte {
	b := append([]byte{heartbeat, byte(len(from))}, from...)
	b = append(b, about...)
	return append(b, s.sum(b)...)
}

// open reads a letter.
func (s seal) open(packet []byte) (from, about string, ok bool) {
	n := len(packet) - sealSize
	if n < 2 || packet[0] != heartbeat || n < 2+int(packet[1]) || !hmac.Equal(packet[n:], s.sum(packet[:n])) {
		return "", "", false
	}
	names := string(packet[2:n])
	return names[:packet[1]], names[packet[1]:], true
}
