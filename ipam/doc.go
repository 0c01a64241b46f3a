// Package ipam chooses the addresses of Services.
//
// Decide is a function of values: a State, which says who holds what, and a
// Request, which says what one Service asks for. It returns the addresses that
// the Service has from now on, and why. Nothing is changed by deciding; Commit
// makes a Decision part of the State.
//
// The State is rebuilt from the Services themselves when a controller starts:
// first everything that is held is adopted, then the rest is decided, so that
// an address never moves because a controller was replaced.
//
// What an address costs does not depend on how many are in use: each pool keeps
// a cursor over the addresses that were never used and a queue of those that
// were released, longest released first, so that a stale ARP entry or firewall rule
// for a former holder does not hit the wrong Service.
//
// Reading Services and writing their statuses is left to controller/assign.
package ipam
