// Command fairlead-speaker announces the external addresses of Services from the
// node that it runs on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/fairlead-lb/fairlead/internal/version"
	"github.com/fairlead-lb/fairlead/speaker/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case err == nil:
		err = node.Run(ctx, o)
	case errors.Is(err, version.ErrRequested):
		fmt.Println("fairlead-speaker", version.Get())
		return
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fairlead-speaker:", err)
		os.Exit(1)
	}
}
