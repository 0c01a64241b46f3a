package main

import (
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

const (
	// grace is how long to go on after the last address was taken over: neighbours
	// may still ask while they learn of it.
	grace = time.Second
	// standinGrace is how long to go on after the other speakers know: within it one of them
	// answers for this node.
	standinGrace = 500 * time.Millisecond
)

// handOver goes on announcing until that is not needed any more, at most for shutdownDelay. Where speakers talk
// to each other, this one takes its leave: the node keeps its addresses, which its kernel serves, and another
// speaker answers for it until it is back. Else other nodes take over, as soon as the API server
// tells them that this speaker terminates.
func (s *speaker) handOver() {
	s.stopping.Store(true)
	deadline := time.Now().Add(s.shutdownDelay)
	if s.peers()[announce.Alive.String()] > 0 {
		s.log.Info("stopping: others answer for this node")
		close(s.bye)
		select {
		case <-s.left:
		case <-time.After(time.Until(deadline)):
		}
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
