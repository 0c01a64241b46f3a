package node

import (
	"sync"
	"time"
)

const (
	// grace is how long to go on after the last address was taken over, or routers learned that the routes go: neighbours
	// may still ask while they learn of it, and routers may still send.
	grace = time.Second
	// standinGrace is how long to go on after the other speakers know: within it one of them
	// answers for this node.
	standinGrace = 500 * time.Millisecond
)

// handOver goes on announcing until that is not needed any more, at most for shutdownDelay.
func (s *speaker) handOver() {
	s.stopping.Store(true)
	deadline := time.Now().Add(s.ShutdownDelay)
	var both sync.WaitGroup
	both.Go(func() { s.leaveLinks(deadline) })
	both.Go(func() { s.leaveRouters(deadline) })
	both.Wait()
}

// leaveLinks hands over what is announced on layer 2. Where speakers talk to each other, this one takes its leave: the node keeps
// its addresses, which its kernel serves, and another speaker answers for it until it is back. Else other nodes take over, as soon
// as the API server tells them that this speaker terminates.
func (s *speaker) leaveLinks(deadline time.Time) {
	if s.alive() > 0 {
		s.log.Info("stopping: others answer for this node")
		s.talking.end(deadline)
		time.Sleep(min(standinGrace, time.Until(deadline)))
		return
	}
	s.log.Info("stopping: handing over")
	untilIdle(s.decided, func() bool {
		d := s.last.Load()
		return d != nil && len(d.Tasks) > 0
	}, grace, deadline)
}

// untilIdle waits until there has been nothing to do for a while, or a deadline. Whether there is may change at each news.
func untilIdle(news <-chan struct{}, busy func() bool, long time.Duration, deadline time.Time) {
	over := time.NewTimer(time.Until(deadline))
	defer over.Stop()
	idle := time.NewTimer(long)
	defer idle.Stop()
	was := false
	for {
		switch is := busy(); {
		case is:
			idle.Stop()
			was = true
		case was:
			idle.Reset(long)
			was = false
		}
		select {
		case <-news:
		case <-idle.C:
			return
		case <-over.C:
			return
		}
	}
}

// leaveRouters ends the sessions with routers. Those that keep the routes while this speaker restarts (RFC 4724) lose the connection and
// nothing else. The others learn first that the routes are about to go (RFC 8326). BFD goes last, once the routers have
// closed their sides, as the end of BFD is no failure for a router only if it expects none of BGP (RFC 5882, section 4.3).
func (s *speaker) leaveRouters(deadline time.Time) {
	if s.bgp.Leave() {
		time.Sleep(min(grace, time.Until(deadline)))
	}
	s.routing.end(deadline)
	s.detecting.end(deadline)
}
