//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "demo: the cluster is made of network namespaces: run it on Linux")
	os.Exit(1)
}
