package responder

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// retry is how long to wait before a socket that failed is opened again.
const retry = time.Second

// converge makes the sockets match what is desired.
func (l *loop) converge() {
	want := l.desired.Get()
	l.macs = map[string]bool{}
	for i := range want.Links {
		l.macs[string(want.Links[i].MAC)] = true
	}
	if want.Retell > l.retold {
		l.retell()
	}
	l.retold = want.Retell
	l.errs = map[string]string{}
	byLink := perLink(want.Addresses, l.protocol.For)
	keep := map[int]bool{}
	for _, k := range want.Links {
		s, addrs := l.able(k, byLink[k.Name])
		if len(addrs) == 0 {
			continue
		}
		keep[k.Index] = true
		if err := l.serve(k, s, addrs); err != nil {
			l.errs[k.Name] = err.Error()
		}
	}
	for i := range l.sockets {
		if !keep[i] {
			l.shut(i)
		}
	}
	l.retry = time.Time{}
	if len(l.errs) > 0 {
		l.retry = time.Now().Add(retry)
	}
	l.observe()
}

// able returns the socket of a link, nil if there is none, and those of the addresses that can be answered
// for there: to yield takes having answered, and to stand in, a MAC address to tell.
func (l *loop) able(k link.Link, addrs []*announce.Task) (*socket, []*announce.Task) {
	s := l.sockets[k.Index]
	if s != nil && (s.link.Name != k.Name || !bytes.Equal(s.link.MAC, k.MAC)) {
		l.shut(k.Index)
		s = nil
	}
	return s, slices.DeleteFunc(addrs, func(a *announce.Task) bool {
		return a.Mode == announce.Yielding && !s.has(a.Addr) || a.Mode == announce.Standin && a.MACs[k.Name] == nil
	})
}

// serve answers for the addresses on a link.
func (l *loop) serve(k link.Link, s *socket, addrs []*announce.Task) error {
	if s == nil {
		var err error
		if s, err = l.start(k); err != nil {
			return err
		}
	}
	before, after := *s.table.Load(), make(table, len(addrs))
	for _, a := range addrs {
		e, had := before[a.Addr]
		if !had {
			e = &address{mode: announce.Yielding} // as what was yielded: not answered for, and gained by any other mode
		}
		after[a.Addr] = e
	}
	for a := range before {
		if after[a] == nil {
			l.schedule.drop(target{k.Index, a})
		}
	}
	for _, a := range addrs {
		l.turn(s, after[a.Addr], a)
	}
	if maps.Equal(before, after) {
		return nil
	}
	if err := s.admit(after); err != nil {
		l.shut(k.Index)
		return err
	}
	return nil
}

func (l *loop) start(k link.Link) (*socket, error) {
	nothing, err := l.protocol.Filter(nil)
	if err != nil {
		return nil, err
	}
	c, err := l.open(k, l.protocol, nothing)
	if err != nil {
		return nil, err
	}
	s := &socket{
		protocol: l.protocol, link: k, conn: c, stats: &l.Stats, log: l.options.Log,
		heard: l.heard, closing: make(chan struct{}), done: make(chan struct{}),
	}
	s.table.Store(&table{})
	l.sockets[k.Index] = s
	l.group.Go(func() error {
		err := s.serve()
		select {
		case l.failed <- s:
			s.log.V(1).Info("socket closed", "link", k.Name, "reason", err.Error())
		case <-s.closing:
		}
		return nil
	})
	return s, nil
}

func (l *loop) shut(index int) {
	s := l.sockets[index]
	delete(l.sockets, index)
	l.schedule.dropLink(index)
	s.close()
}

func (l *loop) observe() {
	o := &Observed{Sockets: len(l.sockets), Errors: l.errs}
	for _, s := range l.sockets {
		for a, e := range *s.table.Load() {
			if e.mode.Announced() && e.voice.Load() != nil {
				o.Answering = append(o.Answering, a)
			}
		}
	}
	slices.SortFunc(o.Answering, netip.Addr.Compare)
	o.Answering = slices.Compact(o.Answering)
	before := l.observed.Swap(o)
	if slices.Equal(before.Answering, o.Answering) && maps.Equal(before.Errors, o.Errors) {
		return
	}
	for name, err := range l.errs {
		if before.Errors[name] != err {
			l.options.Log.Info("link is not served, trying again", "link", name, "reason", err)
		}
	}
	l.options.Changed()
}

// perLink returns the addresses of one family of each link, by its name.
func perLink(all []announce.Task, wanted func(netip.Addr) bool) map[string][]*announce.Task {
	out := map[string][]*announce.Task{}
	for i := range all {
		a := &all[i]
		if !wanted(a.Addr) {
			continue
		}
		for _, name := range a.Links {
			out[name] = append(out[name], a)
		}
	}
	return out
}
