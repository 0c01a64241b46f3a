// Package responder answers neighbours that ask for the addresses which this
// node announces, and tells them of these when it gains one and from time to time. It stands in for nodes whose
// speaker is away, and yields to those that take over. How neighbours ask and
// are answered is a Protocol: package arp for IPv4, package ndp for IPv6.
//
// An address is never put on an interface: a Responder owns one raw socket for
// each link, with a kernel filter that lets nothing through but questions for its own
// addresses and claims of them, so that unrelated traffic does not wake the process.
//
// Set hands over the whole desired state, links and addresses; what differs
// from what is, is changed. Which addresses those are, and what it means that
// somebody else claims one, is decided elsewhere: package announce.
//
// One goroutine, Run's, owns all that changes, and does what is done unasked, as the
// schedule has it. One more for each socket reads and answers; what to answer is in
// the socket's table, and claims that it hears it passes to Run's.
package responder
