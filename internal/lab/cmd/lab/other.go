//go:build !linux

// Lab starts, changes and ends a Kubernetes cluster on this machine; see package lab.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "lab: it is made of Linux's network namespaces, so it cannot run on %s; use a Linux machine, Debian if you can choose\n", runtime.GOOS)
	os.Exit(1)
}
