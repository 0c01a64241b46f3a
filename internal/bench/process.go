//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// controllers returns the processes that run the controller.
func controllers() ([]string, error) {
	found, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, path := range found {
		name, err := os.ReadFile(path)
		if err == nil && strings.HasPrefix(string(name), "fairlead-contro") { // the kernel keeps 15 bytes of it
			out = append(out, filepath.Base(filepath.Dir(path)))
		}
	}
	return out, nil
}

// used is what the controllers have used: CPU all of them, memory the larger.
type used struct {
	cpu time.Duration
	rss int64 // KiB
}

// tick is the unit of CPU time in /proc (proc_pid_stat(5)); it is 100 to the second on all of Go's Linux.
const tick = 10 * time.Millisecond

// quiet waits until the controllers have nothing left to do, and returns what they have used.
func quiet(ctx context.Context) (used, error) {
	for was, err := usage(); err == nil; {
		time.Sleep(time.Second)
		is, err := usage()
		if err != nil || ctx.Err() != nil || is.cpu-was.cpu <= 2*tick {
			return is, errors.Join(err, ctx.Err())
		}
		was = is
	}
	return usage()
}

func usage() (used, error) {
	var u used
	pids, err := controllers()
	if err != nil || len(pids) == 0 {
		return u, fmt.Errorf("no process runs the controller (%w)", err)
	}
	for _, pid := range pids {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil {
			return u, err
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // from field 3 on
		for _, i := range []int{14 - 3, 15 - 3} {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return u, err
			}
			u.cpu += time.Duration(n) * tick
		}
		pages, err := strconv.ParseInt(fields[24-3], 10, 64)
		if err != nil {
			return u, err
		}
		u.rss = max(u.rss, pages*int64(os.Getpagesize())/1024)
	}
	return u, nil
}
