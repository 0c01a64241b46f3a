package responder

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/go-logr/logr"
	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/link"
	"github.com/fairlead-lb/fairlead/speaker/neighbour"
)

// conn is a raw socket on one link. Frames are whole Ethernet frames.
type conn interface {
	Read(frame []byte) (int, error)
	Write(frame []byte) (int, error)
	// Admit replaces what is received: what passes the filter, and of what is sent
	// to multicast groups, that to the given ones, which are sorted.
	Admit(filter []bpf.RawInstruction, groups []netip.Addr) error
	Close() error
}

// socket answers for some addresses on one link.
type socket struct {
	protocol Protocol
	link     link.Link
	conn     conn
	table    atomic.Pointer[table]
	heard    chan<- claim
	stats    *Stats
	log      logr.Logger

	closing chan struct{} // closed by close
	done    chan struct{} // closed when serve has returned
}

// has reports whether an address is, or was, answered for; nil has none.
func (s *socket) has(a netip.Addr) bool { return s != nil && (*s.table.Load())[a] != nil }

// admit replaces the addresses to answer for.
func (s *socket) admit(t table) error {
	addrs := slices.SortedFunc(maps.Keys(t), netip.Addr.Compare)
	f, err := s.protocol.Filter(addrs)
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	// Addresses that are lost must not be answered while the old filter lets
	// them through, and those that are gained are not seen until the new one does.
	s.table.Store(&t)
	return s.conn.Admit(f, s.protocol.Groups(addrs))
}

// maxFrame is the longest frame that is read; none that asks for an address is longer.
const maxFrame = 2048

// serve answers until the socket fails or is closed.
func (s *socket) serve() error {
	defer close(s.done)
	frame := make([]byte, maxFrame)
	for {
		n, err := s.conn.Read(frame)
		if err != nil {
			return fmt.Errorf("read %s on %s: %w", s.protocol.Name(), s.link.Name, err)
		}
		m, err := s.protocol.Parse(frame[:n])
		if err == nil {
			err = s.take(m)
		}
		if err != nil {
			s.log.V(1).Info("ignored a frame", "link", s.link.Name, "reason", err.Error())
		}
	}
}

// take answers a question about an address of ours, and passes a claim on.
func (s *socket) take(m neighbour.Message) error {
	e, ok := (*s.table.Load())[m.Addr]
	if !ok {
		return nil
	}
	v := e.voice.Load()
	if v == nil {
		return nil
	}
	// Of two who probe at the same time we are the one that gives up, and lets the other do without an answer.
	if m.Kind == neighbour.Claim || m.Kind == neighbour.Probe && v.probing {
		select {
		case s.heard <- claim{m, s}:
		case <-s.closing:
		}
		return nil
	}
	out, err := s.protocol.Answer(m, s.link.MAC, v.mac)
	if err != nil {
		return err
	}
	s.stats.Requests.Add(1)
	s.send(out, &s.stats.Replies)
	return nil
}

// send sends a frame, and counts it in all the counters.
func (s *socket) send(frame []byte, sent ...*atomic.Uint64) {
	if _, err := s.conn.Write(frame); err != nil {
		s.stats.Errors.Add(1)
		s.log.V(1).Info("could not send", "link", s.link.Name, "reason", err.Error())
		return
	}
	for _, c := range sent {
		c.Add(1)
	}
}

func (s *socket) close() {
	close(s.closing)
	_ = s.conn.Close() // nothing is lost: a raw socket buffers no writes
	<-s.done
}
