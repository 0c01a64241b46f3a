package bfd

import "time"

// retryAfter is how long to wait before a socket that could not be opened is tried again.
const retryAfter = time.Second

// open opens what sockets are wanted and not open, and closes those that are not.
func (l *loop) open(now time.Time) {
	l.retry = time.Time{}
	used := map[endpoint]bool{}
	for _, s := range l.leaving {
		used[s.endpoint()] = true
	}
	for _, s := range l.sessions {
		if s.fault == "" {
			used[s.endpoint()] = true
			l.dial(s)
		}
		if s.opening != "" {
			l.retry = now.Add(retryAfter)
		}
	}
	for e := range used {
		if l.listeners[e] == nil {
			l.listen(e)
		}
		if l.errs[e] != "" {
			l.retry = now.Add(retryAfter)
		}
	}
	for e, c := range l.listeners {
		if !used[e] {
			delete(l.listeners, e)
			_ = c.Close()
		}
	}
	for _, s := range l.sessions {
		l.tell(now, s, false)
	}
}

func (l *loop) dial(s *session) {
	if s.sender != nil {
		return
	}
	s.opening = ""
	link, err := l.network.index(s.Session)
	if err == nil {
		s.link = link
		s.sender, err = l.network.dial(s.Session)
	}
	if err != nil {
		s.opening = err.Error()
	}
}

func (l *loop) listen(e endpoint) {
	delete(l.errs, e)
	c, err := l.network.listen(e)
	if err != nil {
		l.errs[e] = err.Error()
		return
	}
	l.listeners[e] = c
	l.readers.Go(func() { l.read(e, c) })
}

// read hands packets over, until it cannot.
func (l *loop) read(e endpoint, c listener) {
	for {
		in, err := c.receive()
		if err != nil {
			select {
			case l.failed <- fault{e, c, err}:
			case <-l.stop:
			}
			return
		}
		in.endpoint = e
		select {
		case l.heard <- in:
		case <-l.stop:
			return
		}
	}
}

// lost takes up that a listener can hear no more.
func (l *loop) lost(now time.Time, f fault) {
	if l.listeners[f.endpoint] != f.listener {
		return // it was closed
	}
	_ = f.listener.Close()
	delete(l.listeners, f.endpoint)
	l.errs[f.endpoint] = f.err.Error()
	l.retry = now.Add(retryAfter)
}

func (l *loop) close() {
	close(l.stop)
	for _, c := range l.listeners {
		_ = c.Close()
	}
	for _, s := range l.sessions {
		l.leaving = append(l.leaving, s)
	}
	for _, s := range l.leaving {
		if s.sender != nil {
			_ = s.sender.Close()
		}
	}
	l.readers.Wait()
}
