// Package arp says how IPv4 neighbours ask for an address (ARP, RFC 826), how they
// are answered, and how they are told of one unasked (gratuitous ARP). All of
// it is functions of values; package responder sends and receives the frames.
package arp
