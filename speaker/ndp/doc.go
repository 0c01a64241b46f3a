// Package ndp says how IPv6 neighbours ask for an address (neighbour solicitations,
// RFC 4861), how they are answered, and how they are told of one unasked. All of
// it is functions of values; package responder sends and receives the frames.
package ndp
