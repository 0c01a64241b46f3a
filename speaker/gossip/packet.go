package gossip

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"
)

// packet is a heartbeat, or a suspicion about another, as it is on the wire.
type packet struct {
	from, about string
	// stamp is greater than those of all packets that the sender sent before.
	stamp int64
	// echo is the stamp of the last suspicion about the sender that it has heard of the receiver; 0 if none.
	echo int64
}

const (
	// heartbeat is the first byte of a packet. Memberlist's packets begin with the version of their encryption, which is 0 or 1.
	heartbeat = 'H'
	macSize   = sha256.Size
	// stamps is the size of stamp and echo.
	stamps = 2 * 8
)

// authenticator is a key that packets are authenticated by: HMAC-SHA256 (RFC 2104), over the name of the receiver too. They are not
// encrypted, as they say nothing that is not seen on the wire anyway: which nodes there are. One goroutine uses it at a time.
type authenticator struct{ mac hash.Hash }

// authenticatorOf derives a key of its own from that of the gossip.
func authenticatorOf(key []byte) authenticator {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("fairlead heartbeat"))
	return authenticator{hmac.New(sha256.New, m.Sum(nil))}
}

// sum appends the code of b, sent to a node, to a slice.
func (a authenticator) sum(to, b []byte, node string) []byte {
	a.mac.Reset()
	a.mac.Write(b)
	a.mac.Write([]byte(node))
	return a.mac.Sum(to)
}

// encode writes a packet to a node: a byte, the length of the sender's name, both names, stamp, echo, and the code.
func (a authenticator) encode(p packet, to string) []byte {
	b := make([]byte, 0, 2+len(p.from)+len(p.about)+stamps+macSize)
	b = append(append(append(b, heartbeat, byte(len(p.from))), p.from...), p.about...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.stamp))
	b = binary.BigEndian.AppendUint64(b, uint64(p.echo))
	return a.sum(b, b, to)
}

// decode reads a packet that was sent to a node.
func (a authenticator) decode(b []byte, to string) (p packet, ok bool) {
	n := len(b) - macSize - stamps
	if n < 2 || b[0] != heartbeat || n < 2+int(b[1]) || !hmac.Equal(b[n+stamps:], a.sum(nil, b[:n+stamps], to)) {
		return packet{}, false
	}
	names := string(b[2:n])
	return packet{
		from: names[:b[1]], about: names[b[1]:],
		stamp: int64(binary.BigEndian.Uint64(b[n:])), echo: int64(binary.BigEndian.Uint64(b[n+8:])),
	}, true
}

// freshness tells packets that are sent now from those that somebody has recorded, and sends again. A packet is fresh if its
// sender stamped it later than all that were heard of it. One whose clock was set back while it was restarted would be deaf to all;
// so it proves that it hears us, by the echo of a suspicion. It is a value; it does no I/O.
type freshness struct {
	// stamp is that of the last packet sent.
	stamp int64
	// last is the latest stamp heard of each sender, and asked that of the first suspicion that it was sent since.
	last, asked map[string]int64
	// echo is the stamp of the last suspicion about this node, by who sent it.
	echo map[string]int64
}

func newFreshness() freshness {
	return freshness{last: map[string]int64{}, asked: map[string]int64{}, echo: map[string]int64{}}
}

// send stamps a packet to another.
func (f *freshness) send(p packet, to string, now time.Time) packet {
	f.stamp = max(f.stamp+1, now.UnixNano())
	p.stamp, p.echo = f.stamp, f.echo[to]
	if _, known := f.asked[to]; p.about == to && !known {
		f.asked[to] = p.stamp
	}
	return p
}

// hear reports whether a packet is fresh, and then notes it.
func (f *freshness) hear(p packet, self string) bool {
	asked, known := f.asked[p.from]
	if p.stamp <= f.last[p.from] && !(known && p.echo >= asked && p.echo <= f.stamp) {
		return false
	}
	f.last[p.from] = p.stamp
	delete(f.asked, p.from)
	if p.about == self {
		f.echo[p.from] = p.stamp
	}
	return true
}

// forget forgets a node that is not living.
func (f *freshness) forget(name string) {
	delete(f.last, name)
	delete(f.asked, name)
	delete(f.echo, name)
}
