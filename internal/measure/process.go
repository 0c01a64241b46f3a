package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The programs' names.
const (
	Controller = "fairlead-controller"
	Speaker    = "fairlead-speaker"
)

// Processes returns the numbers of the processes that run a program.
func Processes(program string) ([]int, error) {
	found, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, err
	}
	want := program[:min(len(program), 15)] // the kernel keeps no more
	var out []int
	for _, path := range found {
		name, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(name)) != want {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		out = append(out, pid)
	}
	return out, nil
}

// Usage is what a process has used.
type Usage struct {
	// CPU is its time, the kernel's for it included, in steps of 10 ms.
	CPU time.Duration
	// RSS is its memory in bytes.
	RSS int64
}

// UsageOf returns what a process has used.
func UsageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	u, err := parseStat(string(stat))
	if err != nil {
		return u, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	return u, nil
}

// tick is the unit of CPU time in /proc (proc_pid_stat(5)); it is 100 to the second on all of Go's Linux.
const tick = 10 * time.Millisecond

// parseStat reads fields 14, 15 and 24 of proc_pid_stat(5). The name in field 2 may hold anything, so fields count from its end.
func parseStat(stat string) (u Usage, err error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // from field 3 on
	if len(fields) < 22 {
		return u, fmt.Errorf("unexpected %q", stat)
	}
	var n [3]int64
	for i, field := range []int{14, 15, 24} {
		if n[i], err = strconv.ParseInt(fields[field-3], 10, 64); err != nil {
			return u, err
		}
	}
	return Usage{CPU: time.Duration(n[0]+n[1]) * tick, RSS: n[2] * int64(os.Getpagesize())}, nil
}
