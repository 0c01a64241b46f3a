// Package arp says how IPv4 neighbours ask for an address (ARP, RFC 826), how they
// are answered, how they learn of one unasked (gratuitous ARP), and how to find out
// whether somebody has it (RFC 5227). All of it is functions of values; package responder
// sends and receives the frames.
package arp
