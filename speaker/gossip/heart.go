package gossip

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
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
	ended bool

	alarm *alarm
	woken sync.WaitGroup
}

func newHeart(self string, key []byte, send func([]byte, netip.AddrPort), changed func()) (*heart, error) {
	a, err := newAlarm()
	if err != nil {
		return nil, err
	}
	h := &heart{send: send, changed: changed, ring: newRing(self), seals: []seal{sealOf(key)}, alarm: a}
	h.woken.Go(func() {
		for a.wait() == nil {
			h.do(func(time.Time) {})
		}
	})
	return h, nil
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
	h.post(out)
	h.alarm.set(again.Sub(now))
	news := !slices.Equal(doubts, h.doubts())
	h.mu.Unlock()
	if news {
		h.changed()
	}
}

func (h *heart) post(out []letter) {
	for _, l := range out {
		h.send(h.seals[0].letter(h.ring.self, l.about), h.addrs[l.to])
	}
}

// hear takes a packet. What has not our seal is not for us.
func (h *heart) hear(packet []byte) {
	h.do(func(now time.Time) {
		for _, s := range h.seals {
			if from, about, ok := s.open(packet); ok {
				if about != "" {
					h.ring.doubted(about, from, now)
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

// leave has all others doubt this one, that ends.
func (h *heart) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.post(letters(h.ring.others(), h.ring.self))
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
	h.ended = true
	h.mu.Unlock()
	h.alarm.close()
	h.woken.Wait()
}

// seal is a key that letters are authenticated by: HMAC-SHA256 (RFC 2104). They are not encrypted, as they say nothing
// that is not seen on the wire anyway: which nodes there are. One goroutine uses it at a time.
type seal struct{ mac hash.Hash }

const (
	// heartbeat is the first byte of a letter. Memberlist's packets begin with the version of their encryption, which is 0 or 1.
	heartbeat = 'H'
	sealSize  = sha256.Size
)

// sealOf derives a key of its own from that of the gossip.
func sealOf(key []byte) seal {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("fairlead heartbeat"))
	return seal{hmac.New(sha256.New, m.Sum(nil))}
}

// sum appends that of b to a slice.
func (s seal) sum(to, b []byte) []byte {
	s.mac.Reset()
	s.mac.Write(b)
	return s.mac.Sum(to)
}

// letter writes a heartbeat, or a doubt about another: a byte, the length of the sender's name, both names, the seal.
func (s seal) letter(from, about string) []byte {
	b := make([]byte, 0, 2+len(from)+len(about)+sealSize)
	b = append(append(append(b, heartbeat, byte(len(from))), from...), about...)
	return s.sum(b, b)
}

// open reads a letter.
func (s seal) open(packet []byte) (from, about string, ok bool) {
	n := len(packet) - sealSize
	if n < 2 || packet[0] != heartbeat || n < 2+int(packet[1]) || !hmac.Equal(packet[n:], s.sum(nil, packet[:n])) {
		return "", "", false
	}
	names := string(packet[2:n])
	return names[:packet[1]], names[packet[1]:], true
}
