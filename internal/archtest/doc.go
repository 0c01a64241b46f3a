// Package archtest checks the architecture: who may import whom, and that every
// package says what it is for. The rules are one table, in table.go; the test
// reads the imports of all packages and judges them by it.
//
// A package that the table does not list is a failure, so that a new package is
// given its place before it is used. docs/ARCHITECTURE.md explains the table.
package archtest
