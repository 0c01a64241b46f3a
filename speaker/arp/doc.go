// Package arp answers ARP requests for the addresses that this node announces,
// and tells the neighbours when it gains one (gratuitous ARP).
//
// An address is never put on an interface: a Responder owns one raw socket for
// each link, with a kernel filter that lets nothing through but requests for its own
// addresses, so that unrelated ARP does not wake the process.
//
// Set hands over the whole desired state, links and addresses; what differs
// from what is, is changed. Which addresses those are is decided in package
// announce.
package arp
