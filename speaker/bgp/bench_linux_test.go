package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

func many(n int, to ...string) []announce.Route {
	out := make([]announce.Route, n)
	a, at := &announce.Attributes{}, netip.MustParseAddr("198.18.0.0")
	for i := range out {
		out[i] = route(at.String()+"/32", a, to...)
		at = at.Next()
	}
	return out
}

// BenchmarkCold measures from the start of a Driver with 10,000 routes until two sessions with FRR have all of them, on one machine with the
// router; and what the process takes then.
func BenchmarkCold(b *testing.B) {
	const n = 10_000
	w := newWire(b)
	r := w.start(routers["FRR"].config)
	has := func() bool {
		for _, peer := range []string{"192.0.2.1", "2001:db8::1"} {
			text, err := r.Ask(b.Context(), "show bgp ipv4 unicast neighbors "+peer+" prefix-counts json")
			if err != nil || !strings.Contains(text, fmt.Sprintf(`"pfxCounter":%d`, n)) {
				return false
			}
		}
		return true
	}
	all := many(n, "v4", "v6")
	for b.Loop() {
		d, stop := w.run(all, peers(func(p *config.Peer) { p.RestartTime = 0 })...)
		for !has() {
			time.Sleep(5 * time.Millisecond)
		}
		b.StopTimer()
		b.ReportMetric(rss(b), "MiB-RSS")
		_ = d
		stop()
		b.StartTimer()
	}
}

// rss is how much memory the process has, in MiB.
func rss(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

// BenchmarkChange measures what one route that changes costs among many, from Update to the message.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			table := newTable()
			l := table.open("v4", map[config.Family]bool{config.IPv4: true}, false)
			table.update(many(n, "v4"))
			l.next()
			d := dialect{asn: nodes, fourOctet: true, nextHops: map[config.Family]netip.Addr{config.IPv4: netip.MustParseAddr("192.0.2.1")}}
			forms := [][]announce.Route{{route("198.18.0.1/32", &announce.Attributes{MED: 1, HasMED: true}, "v4")}, {route("198.18.0.1/32", &announce.Attributes{}, "v4")}}
			i := 0
			for b.Loop() {
				table.update(forms[i%2])
				for _, c := range l.next() {
					d.announce(c.family, c.attributes, c.prefixes)
				}
				i++
			}
		})
	}
}
