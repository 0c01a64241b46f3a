//go:build linux

// Command bench measures Fairlead on clusters on this machine, and prints tables:
// what was reached, what must be, and how it was measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

var (
	only     = flag.String("only", "", "measure only these, of assign and "+strings.Join(names(), ", ")+"; l2 is all but assign")
	name     = flag.String("name", "bench", "start clusters by this name")
	services = flag.Int("services", 3000, "assign: create so many Services; crowd: have so many")
	writers  = flag.Int("writers", 16, "by so many writers at a time")
	runs     = flag.Int("runs", 3, "assign, burst, crowd: so many times")

	trials  = flag.Int("trials", 20, "cable, first: so many times")
	outages = flag.Int("outages", 5, "outage: so many times")
	planned = flag.Int("planned", 5, "planned, held: so many times")
	limit   = flag.Duration("limit", 90*time.Second, "wait so long for an address to come back")
)

func main() {
	lab.Init()
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	controller, layer2, err := selected(*only)
	if err != nil {
		return err
	}
	if controller {
		if err := assign(ctx); err != nil {
			return err
		}
	}
	if len(layer2) > 0 {
		return onLayer2(ctx, layer2)
	}
	return nil
}

// selected reads what is to be measured; nothing means everything.
func selected(text string) (controller bool, layer2 []measure, err error) {
	if text == "" {
		return true, measures, nil
	}
	asked := strings.Split(text, ",")
	for _, name := range asked {
		if name != "assign" && name != "l2" && !slices.Contains(names(), name) {
			err = errors.Join(err, fmt.Errorf("nothing is called %q", name))
		}
	}
	for _, m := range measures {
		if slices.Contains(asked, m.name) || slices.Contains(asked, "l2") {
			layer2 = append(layer2, m)
		}
	}
	return slices.Contains(asked, "assign"), layer2, err
}
