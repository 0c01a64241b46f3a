// Package announce decides which node announces which address.
//
// Decide is a function of values: the configuration in force, and a View of the
// cluster (nodes, their network interfaces, Services and where their endpoints
// are). It returns a Plan with one entry for every address: the node that
// announces it and on which interfaces, or why no node can.
//
// Every speaker decides for the whole cluster, from the same values to the same
// Plan, and acts upon its own part. So there is nothing to negotiate, and
// nothing to ask of the API server when a node is lost. Each address is decided
// about for itself (At), from who is to announce it and who is to next, which is recorded on the Service: what
// becomes of one address says nothing of another's, and what is recorded stays as long as it can.
//
// Place proposes what is recorded first, so that all nodes have the same number. Only
// the leading controller can: it alone knows of all addresses at once.
//
// Sending packets is left to the drivers, gathering a View to speaker/agent.
package announce
