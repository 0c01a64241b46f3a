// Package assign gives Services their addresses: it reconciles Services of type
// LoadBalancer with what ipam decides.
//
// Its State of who holds what lives in memory and is rebuilt from the Services
// when this replica becomes the leader, before anything is decided: first all
// addresses that Services show are adopted, then the waiting ones are served,
// explicit requests and older Services first. From then on a change costs what
// changed: a Service that comes or goes is looked at alone, and with an address
// that became free only those that wait for one.
//
// Deciding takes microseconds and happens under one lock; writing a status
// takes milliseconds and does not.
package assign
