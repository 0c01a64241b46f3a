// Package router reads what FRR and BIRD say of their routes, as plain values. Tests and the lab judge by it what arrives at a
// router, in the router's own words.
package router
