// Command kubectl-fairlead says what Fairlead does in a cluster, and why. It changes nothing. As kubectl finds it in the
// PATH, it is called by kubectl fairlead.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/fairlead-lb/fairlead/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
