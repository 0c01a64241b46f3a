// Package envtest tests the controller against a real API server: etcd and
// kube-apiserver alone, without nodes, built by internal/lab and run by
// controller-runtime's package of the same name.
//
// The controller is the program that is shipped, run as a child with no more
// rights than manifests/base gives it. So it can be killed at any point, and be
// two, and what it is wired from in main is tested too. Its work is judged by what
// the API server shows, never by calls.
//
// There are three parts: stories, told step by step; the rules in the custom
// resource definitions; and a random history in which the controller is killed
// again and again, with the promises checked after each event and in each quiet
// moment. That one takes the flags -seed and -steps.
package envtest
