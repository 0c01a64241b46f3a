// Package config turns the operators' objects into one validated, immutable
// Snapshot, and says of every object at fault what is wrong with it.
//
// It is the only validator: the controller and every speaker build the same
// Snapshot from the same objects, so that they never disagree about what is in
// force. A bad object costs only itself: it becomes a Problem, and the Snapshot
// holds all the others.
//
// Everything in a Snapshot is a plain value of the standard library's types, or
// has methods that take such values; who reads it needs nothing of Kubernetes.
// What to do with a Snapshot is left to packages ipam and announce.
package config
