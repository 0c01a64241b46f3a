// Package agent is the shell around a speaker's decision: it gathers what is known of
// the cluster from the watched objects and the node's links, has package
// announce decide, and hands each driver its part.
//
// One goroutine owns everything that is known. Watches send it changes; those that
// have come in together are decided upon together.
//
// Nothing is decided before all that is watched has been read once, and an API
// server that is away changes nothing: what was read stays true until something
// else is read.
package agent
