// Package cli is kubectl fairlead. It reads a cluster, or what was saved of one, and says what Fairlead does there and
// why: by the conditions that the controller and the speakers have written, and by the very decisions that they take
// (config, ipam, speaker/announce).
//
// A Cluster is what was read. Reports are functions of a Cluster: they do no I/O, so that a test is a file of objects.
// What is wrong is a Finding, which names the object, says why, and gives the command that mends it.
package cli
