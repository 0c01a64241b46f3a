// Package bfd finds out within a fraction of a second that a router cannot be reached any more (Bidirectional Forwarding Detection:
// RFC 5880; over one hop, RFC 5881; over several, RFC 5883). It owns the sessions with routers and the UDP sockets for them. What
// follows from a session that is lost (RFC 5882) is for others to decide: they get the state and its Cause.
//
// A Machine is one session, without sockets, clocks or goroutines. A Driver has a Machine for each session that is wanted.
//
// What is there: asynchronous mode, both roles, timers that are negotiated and changed while a session is up. What is not: the echo
// function, which peers are asked not to use (Required Min Echo RX Interval is 0); Demand mode of our own, though a peer may ask for
// it; authentication: packets that have it are discarded and counted.
package bfd
