// Package router runs FRR and BIRD in network namespaces, and reads what they say of their routes and sessions, as plain values.
// Tests and the lab judge by it what arrives at a router, in the router's own words.
package router
