package responder

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/go-logr/logr"
	"golang.org/x/net/bpf"

	"github.com/fairlead-lb/fairlead/speaker/link"
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
	addrs    atomic.Pointer[[]netip.Addr] // sorted
	stats    *Stats
	log      logr.Logger

	closing chan struct{} // closed by close
	done    chan struct{} // closed when serve has returned
}

// answer sets the addresses to answer for, sorted.
func (s *socket) answer(addrs []netip.Addr) error {
	f, err := s.protocol.Filter(addrs)
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	// Addresses that are lost must not be answered while the old filter lets
	// them through, and those that are gained are not seen until the new one does.
	s.addrs.Store(&addrs)
	return s.conn.Admit(f, s.protocol.Groups(addrs))
}

func (s *socket) answers(a netip.Addr) bool {
	_, ok := slices.BinarySearchFunc(*s.addrs.Load(), a, netip.Addr.Compare)
	return ok
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
		out, err := s.protocol.Answer(frame[:n], s.link.MAC, s.answers)
		if err != nil {
			s.log.V(1).Info("ignored a frame", "link", s.link.Name, "reason", err.Error())
			continue
		}
		if out == nil {
			continue
		}
		s.stats.Requests.Add(1)
		s.send(out, &s.stats.Replies)
	}
}

// claim tells all neighbours that an address is here.
func (s *socket) claim(a netip.Addr) {
	frames, err := s.protocol.Claims(a, s.link.MAC)
	if err != nil {
		s.log.Error(err, "making frames that claim an address", "address", a)
		return
	}
	for _, f := range frames {
		s.send(f, &s.stats.Claims)
	}
}

func (s *socket) send(frame []byte, sent *atomic.Uint64) {
	if _, err := s.conn.Write(frame); err != nil {
		s.stats.Errors.Add(1)
		s.log.V(1).Info("could not send", "link", s.link.Name, "reason", err.Error())
		return
	}
	sent.Add(1)
}

func (s *socket) close() {
	close(s.closing)
	_ = s.conn.Close() // nothing is lost: a raw socket buffers no writes
	<-s.done
}
