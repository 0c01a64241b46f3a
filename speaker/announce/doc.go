// Package announce decides which node announces which address.
//
// At is a function of values: the active configuration, the nodes with their network
// interfaces, an address, and the Services that have it, with where their endpoints are. It says which node
// announces the address and on which interfaces, or why no node can.
//
// Every speaker decides about every address of the cluster, from the same values to the same
// end, and acts upon its own part. So there is nothing to negotiate, and
// nothing to ask of the API server when a node is lost. Each address is decided
// about for itself, from who is to announce it and who is to next, which is recorded on the Service: what
// becomes of one address says nothing of another's, and what is recorded stays as long as it can.
//
// Place proposes what is recorded first, so that all nodes have the same number. Only
// the leading controller can: it alone knows of all addresses at once.
//
// Sending packets is left to the drivers, gathering the values to speaker/agent.
package announce
