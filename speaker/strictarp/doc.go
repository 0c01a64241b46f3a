// Package strictarp finds out whether this node's kernel answers ARP requests for addresses that only the
// speakers are to answer for.
//
// kube-proxy in mode ipvs has the address of every Service on an interface of every node. A kernel answers for
// all addresses of its node, on whichever interface it is asked, unless that is restricted by sysctls, which kube-proxy
// sets if its configuration has strictARP. Where it does not, all nodes answer, and clients reach any of them.
//
// It reads only. What to say of that is left to speaker/status.
package strictarp
