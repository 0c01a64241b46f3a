//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/internal/measure"
)

// quietPatience is how long processes may take to have nothing left to do.
const quietPatience = 3 * time.Minute

// quiet waits until processes use less than some CPU in a second, and returns what they have used.
func quiet(ctx context.Context, less time.Duration, of func() (measure.Usage, error)) (measure.Usage, error) {
	was, err := of()
	if err != nil {
		return was, err
	}
	for start := time.Now(); time.Since(start) < quietPatience; {
		time.Sleep(time.Second)
		is, err := of()
		if err != nil || ctx.Err() != nil || is.CPU-was.CPU < less {
			return is, errors.Join(err, ctx.Err())
		}
		was = is
	}
	return was, fmt.Errorf("still busy after %s", quietPatience)
}

// controllers is what all processes of the controller have used.
func controllers() (measure.Usage, error) {
	pids, err := measure.Processes(measure.Controller)
	if err != nil || len(pids) == 0 {
		return measure.Usage{}, fmt.Errorf("no process runs %s (%w)", measure.Controller, err)
	}
	return usage(pids...)
}

// speakers is what the speakers of the cluster have used.
func (b *bench) speakers() (measure.Usage, error) {
	var pids []int
	for _, node := range b.Nodes() {
		pid, err := measure.SpeakerOn(b.Host(node))
		if err != nil {
			return measure.Usage{}, err
		}
		pids = append(pids, pid)
	}
	return usage(pids...)
}

// usage is what processes have used: CPU all of them, memory the larger.
func usage(pids ...int) (all measure.Usage, err error) {
	for _, pid := range pids {
		u, err := measure.UsageOf(pid)
		if err != nil {
			return all, err
		}
		all.CPU += u.CPU
		all.RSS = max(all.RSS, u.RSS)
	}
	return all, nil
}
