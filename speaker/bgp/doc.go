// Package bgp has the BGP sessions of a node (RFC 4271), and announces its routes in them. It is the only door to GoBGP.
//
// GoBGP runs the finite state machine of each session, and its codec writes the messages; it never sees the network. Each
// session has a guard, which owns the connection with the router: it dials (source address, TTL, MD5 and back-off are its own),
// passes OPEN, KEEPALIVE and NOTIFICATION between the router and GoBGP, and discards all UPDATEs of the router unread, so
// that a full table costs no memory and no attribute of a peer meets a parser. Routes do not pass through GoBGP: the guard has a
// table of what is to be announced to its router, and writes UPDATEs of that by itself. So each router can get other routes, a change
// costs what it changes, and a connection can end without a NOTIFICATION, as graceful restart wants (RFC 4724).
//
// What is to be announced is decided in speaker/announce; whether a router can still be reached, in speaker/bfd.
package bgp
