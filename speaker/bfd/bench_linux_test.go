package bfd

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// BenchmarkSessions is what sessions with 100 ms cost while nothing happens, over a real link: 100, and two, as a node would have with its
// neighbours in a ring. Both ends are in this process: half of it is reported.
func BenchmarkSessions(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root, for network namespaces")
	}
	for _, n := range []int{2, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkSessions(b, n) })
	}
}

func benchmarkSessions(b *testing.B, n int) {
	b.Helper()
	w := newWire(b)
	var ours, theirs []Session
	for i := range n {
		a, z := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)})
		w.ip(fmt.Sprintf("-n %s addr add %s/16 dev eth0", w.us, a))
		w.ip(fmt.Sprintf("-n %s addr add %s/16 dev eth0", w.router, z))
		ours = append(ours, Session{Name: a.String(), Peer: z, Local: a, Profile: fast})
		theirs = append(theirs, Session{Name: z.String(), Peer: a, Local: z, Profile: fast})
	}
	d := New(Options{Log: logr.Discard()})
	d.Set(theirs)
	ctx, cancel := context.WithCancel(context.Background())
	done := w.on(w.router, func() {
		if err := d.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() { cancel(); <-done })
	o, _, stop := w.run(ours...)
	defer stop()
	up, status := w.all(o, Up)
	w.eventually("up", up, status)
	var used time.Duration
	const long = 10 * time.Second
	runs := 0
	for b.Loop() {
		started := cpu(b)
		time.Sleep(long)
		used += cpu(b) - started
		runs++
	}
	var lost uint64 // a busy machine is held up for longer than 300 ms
	for _, s := range o.Observed() {
		lost += s.Counters.Downs
	}
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(100*used.Seconds()/2/(float64(runs)*long.Seconds()), "%CPU/end")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
