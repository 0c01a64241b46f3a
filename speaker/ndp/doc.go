// Package ndp says how IPv6 neighbours ask for an address (neighbour solicitations,
// RFC 4861), how they are answered, how they learn of one unasked (advertisements), and
// how to find out whether somebody has it (RFC 4862, section 5.4). All of it is functions of values;
// package responder sends and receives the frames.
package ndp
