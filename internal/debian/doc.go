// Package debian installs the Debian packages of programs that tests and the lab run: routers, containers, tools. It leaves the
// packages' services stopped.
package debian

// A Program is a file that must be there, by its path or its name, and the package that has it.
type Program struct{ File, Package string }
