package main

import (
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

const (
	// grace is how long to go on after the last address was taken over, or routers were told that the routes go: neighbours
	// may still ask while they learn of it, and routers may still send.
	grace = time.Second
	// standinGrace is how long to go on after the other speakers know: within it one of them
	// answers for this node.
	standinGrace = 500 * time.Millisecond
)

// handOver goes on announcing until that is not needed any more, at most for shutdownDelay.
func (s *speaker) handOver() {
	s.stopping.Store(true)
	deadline := time.Now().Add(s.shutdownDelay)
	var both sync.WaitGroup
	both.Go(func() { s.leaveLinks(deadline) })
	both.Go(func() { s.leaveRouters(deadline) })
	both.Wait()
}

// leaveLinks hands over what is announced on layer 2. Where speakers talk to each other, this one takes its leave: the node keeps
// its addresses, which its kernel serves, and another speaker answers for it until it is back. Else other nodes take over, as soon
// as the API server tells them that this speaker terminates.
func (s *speaker) leaveLinks(deadline time.Time) {
	if s.peers()[announce.Alive.String()] > 0 {
		s.log.Info("stopping: others answer for this node")
		s.talking.end(deadline)
		time.Sleep(min(standinGrace, time.Until(deadline)))
		return
	}
	s.log.Info("stopping: handing over")
	free := time.Now()
	for now := free; now.Before(deadline) && now.Sub(free) < grace; now = time.Now() {
		if d := s.last.Load(); d != nil && len(d.Tasks) > 0 {
			free = now
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// leaveRouters ends the sessions with routers. Those that keep the routes while this speaker restarts (RFC 4724) lose the connection and
// nothing else. The others are told first that the routes are about to go (RFC 8326). BFD goes last, as the end of BFD is
// no failure for a router only if it expects none of BGP (RFC 5882, section 4.3).
func (s *speaker) leaveRouters(deadline time.Time) {
	if s.bgp.Leave() {
		time.Sleep(min(grace, time.Until(deadline)))
	}
	s.routing.end(deadline)
	s.detecting.end(deadline)
}
