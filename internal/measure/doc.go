// Package measure measures from outside what a load balancer does to its clients: fresh and
// kept connections, answers to ARP, packets on a link, what processes use. The
// end-to-end tests set limits to it, the benchmarks print it.
//
// It works on hosts of internal/lab and knows nothing of Fairlead but its names.
package measure
