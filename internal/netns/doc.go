// Package netns runs functions in network namespaces, for the lab, the benchmarks and tests of drivers.
package netns
