// Package gossip finds out, among the speakers themselves and without the API server, which nodes
// are there. It says of every other node whether its speaker is Alive, is Away while the node
// itself goes on (a restart, a hang), or whether the node is Gone.
//
// The speakers know of each other by memberlist (SWIM, with authenticated and encrypted messages), and notice by heartbeats
// within a quarter of a second who is silent. That alone would mistake a process that stands still
// for a node that is dead. So before a node is Gone its kernel is asked as well: whoever
// accepts or refuses a TCP connection still forwards traffic.
//
// What follows from it is decided in package announce.
package gossip
