package agent

import "time"

// All times of this package; TestTimes holds how they depend on each other and on those of the responders and the gossip.
const (
	// restFactor and maxRest: after each decision changes are gathered for some times as long as it took, so that a burst
	// of them costs a part of a processor, and a lone one is answered at once.
	restFactor = 4
	maxRest    = 50 * time.Millisecond

	// yieldFor is how long to answer for an address that another node announces, if that is not seen to do so. It may learn of it
	// only later, when the API server has been away.
	yieldFor = 30 * time.Second

	// insist is how long a node that was cut off does not insist on what it announces: its watches may need as long.
	insist = 10 * time.Second
	// askAgain is how long to wait for an answer of another speaker until it is asked again, and hintFor how long it is asked.
	askAgain = 500 * time.Millisecond
	hintFor  = 2 * time.Second
	// grace is how long both of two nodes may announce an address: longer than a hand-over takes. After that the one with the
	// last name gives way as soon as it hears the other again, which is once a minute.
	grace = 10 * time.Second
	// forgetDuplicate is how long it is remembered that another announces an address too.
	forgetDuplicate = 5 * time.Minute
	// leaveFor is how long an address is left to another speaker, unless something else is recorded meanwhile.
	leaveFor = 90 * time.Second

	// forgetHost is how long a conflicting host is remembered that is not seen any more. Who was found before first
	// use is then asked for again, for probeFor, which is as long as probing takes.
	forgetHost = 5 * time.Minute
	probeFor   = 5 * time.Second
	// oneOfTwo is how long one who is not seen again is reported, though another is seen: two that claim the address in turns are
	// not reported in turns. Refreshes have both defend it more often.
	oneOfTwo = 2 * time.Minute
)
