// Package flows keeps open connections when an address moves: packets of a
// connection that this node's kernel does not know are passed on to the node
// that may, which goes on serving it.
//
// What kube-proxy has taken none of ends here as well: by the node's default
// route it would go to and fro between node and router.
//
// It owns two tables of nftables, "ip fairlead" and "ip6 fairlead", each with a
// map from an address of a Service to the next node. The kernel's conntrack says
// which connections are known, so nothing is remembered of those. A packet that
// is passed on is sent to the other node's MAC as it is, but for its TTL; answers
// go straight to the client. Each entry has a timeout: what a speaker leaves
// behind that does not come back expires.
package flows
