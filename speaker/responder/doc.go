// Package responder answers neighbours that ask for the addresses which this
// node announces, and tells them when it gains one. How neighbours ask and
// are answered is a Protocol: package arp for IPv4, package ndp for IPv6.
//
// An address is never put on an interface: a Responder owns one raw socket for
// each link, with a kernel filter that lets nothing through but questions for its own
// addresses, so that unrelated traffic does not wake the process.
//
// Set hands over the whole desired state, links and addresses; what differs
// from what is, is changed. Which addresses those are is decided in package
// announce.
package responder
