// Command fairlead-controller assigns external addresses to Services and keeps
// the statuses of Fairlead's objects true. Of several replicas one leads.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case err == nil:
		err = run(ctx, o)
	case errors.Is(err, version.ErrRequested):
		fmt.Println("fairlead-controller", version.Get())
		return
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fairlead-controller:", err)
		os.Exit(1)
	}
}
