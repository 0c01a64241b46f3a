package gossip

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Question is what one speaker asks another: whether it announces an address.
type Question struct {
	// From is who asks, or is asked.
	From string
	Addr netip.Addr
	// nonce tells the answer to this question from one to another.
	nonce uint64
}

// An Answer to a Question.
type Answer struct {
	Question
	// Announces: the one that was asked announces the address.
	Announces bool
	// Returning: it was cut off, and is not certain that it should.
	Returning bool
}

// exchanges are the questions and answers that wait to be sent, or looked at. It is safe for concurrent use.
type exchanges struct {
	mu sync.Mutex
	// out are to be sent, by whom they are for; in has come.
	out []outgoing
	in  [][]byte
	// asked are the questions that were not answered, by nonce.
	asked map[uint64]askedAt
}

type outgoing struct {
	to      string
	message []byte
}

type askedAt struct {
	Question
	at time.Time
}

const (
	// answerWithin is how long an answer may take.
	answerWithin = 2 * time.Second
	// maxExchanges is how many messages wait at most, in each direction; more are dropped, and asked again.
	maxExchanges = 256
)

// Ask asks another speaker whether it announces an address. The answer comes to Options.Answered, or never. It does not block.
func (g *Gossip) Ask(node string, a netip.Addr) {
	q := Question{From: g.Node, Addr: a, nonce: rand.Uint64()} //nolint:gosec // tells answers apart; the gossip's encryption keeps them from others
	g.exchanges.mu.Lock()
	if g.exchanges.asked == nil {
		g.exchanges.asked = map[uint64]askedAt{}
	}
	now := time.Now()
	for n, x := range g.exchanges.asked {
		if now.Sub(x.at) > answerWithin {
			delete(g.exchanges.asked, n)
		}
	}
	g.exchanges.asked[q.nonce] = askedAt{Question{From: node, Addr: a, nonce: q.nonce}, now}
	g.exchanges.mu.Unlock()
	g.post(node, encodeExchange(exchange{q, question, 0}))
}

// Reply answers a question. It does not block.
func (g *Gossip) Reply(q Question, announces, returning bool) {
	flags := byte(0)
	if announces {
		flags |= flagAnnounces
	}
	if returning {
		flags |= flagReturning
	}
	g.post(q.From, encodeExchange(exchange{Question{From: g.Node, Addr: q.Addr, nonce: q.nonce}, answer, flags}))
}

func (g *Gossip) post(to string, message []byte) {
	g.exchanges.mu.Lock()
	if len(g.exchanges.out) < maxExchanges {
		g.exchanges.out = append(g.exchanges.out, outgoing{to, message})
	}
	g.exchanges.mu.Unlock()
	g.desired.Ring()
}

// receive takes what another has sent. It does not block.
func (g *Gossip) receive(message []byte) {
	g.exchanges.mu.Lock()
	if len(g.exchanges.in) < maxExchanges {
		g.exchanges.in = append(g.exchanges.in, message)
	}
	g.exchanges.mu.Unlock()
	g.desired.Ring()
}

// exchange sends what waits to be sent, and has those look at what has come who are to.
func (l *loop) exchange() {
	x := &l.exchanges
	x.mu.Lock()
	out, in := x.out, x.in
	x.out, x.in = nil, nil
	x.mu.Unlock()
	for _, o := range out {
		if l.list != nil {
			l.list.send(o.to, o.message)
		}
	}
	for _, b := range in {
		m, ok := decodeExchange(b)
		switch {
		case !ok:
		case m.kind == question:
			l.Asked(m.Question)
		case l.expected(m.Question):
			l.Answered(Answer{m.Question, m.flags&flagAnnounces != 0, m.flags&flagReturning != 0})
		}
	}
}

// expected reports whether an answer is to a question that was asked of its sender just now.
func (l *loop) expected(q Question) bool {
	l.exchanges.mu.Lock()
	defer l.exchanges.mu.Unlock()
	asked, known := l.exchanges.asked[q.nonce]
	delete(l.exchanges.asked, q.nonce)
	return known && asked.Question == q && time.Since(asked.at) <= answerWithin
}

// exchange is a question or an answer as it is sent, within memberlist's encryption.
type exchange struct {
	Question
	kind, flags byte
}

const (
	// exchangeMark is the first byte: of what a speaker says of itself it is the length of a name, which is not 0.
	exchangeMark = 0
	question     = 'q'
	answer       = 'a'

	flagAnnounces = 1
	flagReturning = 2
)

func isExchange(b []byte) bool { return len(b) > 0 && b[0] == exchangeMark }

func encodeExchange(x exchange) []byte {
	b := []byte{exchangeMark, x.kind, x.flags}
	b = binary.BigEndian.AppendUint64(b, x.nonce)
	b = append(append(b, byte(len(x.From))), x.From...)
	return slices.Concat(b, x.Addr.AsSlice())
}

func decodeExchange(b []byte) (exchange, bool) {
	const fixed = 3 + 8 + 1
	if len(b) < fixed || b[0] != exchangeMark || len(b) < fixed+int(b[fixed-1]) {
		return exchange{}, false
	}
	end := fixed + int(b[fixed-1])
	a, ok := netip.AddrFromSlice(b[end:])
	x := exchange{Question{string(b[fixed:end]), a, binary.BigEndian.Uint64(b[3:])}, b[1], b[2]}
	return x, ok && (x.kind == question || x.kind == answer)
}
