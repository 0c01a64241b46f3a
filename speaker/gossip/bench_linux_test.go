package gossip

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// sent reads how many IP packets, and bytes, this network namespace has sent. Over loopback all are counted once.
func sent(t testing.TB) (packets, bytes float64) {
	t.Helper()
	counter := func(file, protocol, name string) float64 {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) == 0 || f[0] != protocol+":" {
				continue
			}
			if names == nil {
				names = f
				continue
			}
			for i := range names {
				if names[i] == name {
					n, err := strconv.ParseFloat(f[i], 64)
					if err != nil {
						t.Fatal(err)
					}
					return n
				}
			}
		}
		t.Fatalf("%s has no %s %s", file, protocol, name)
		return 0
	}
	return counter("/proc/self/net/snmp", "Ip", "OutRequests"), counter("/proc/self/net/netstat", "IpExt", "OutOctets")
}

// BenchmarkTraffic is what speakers say to each other while nothing happens: how much each of them sends, all on
// the loopback interface.
func BenchmarkTraffic(b *testing.B) {
	const long = 10 * time.Second
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprint("nodes=", n), func(b *testing.B) {
			all := make([]list, n)
			first := netip.MustParseAddrPort("127.9.1.1:29478")
			for i := range all {
				at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, 1, byte(i + 1)}), first.Port())
				l, err := begin(fmt.Sprint("node-", i+1), at, make([]byte, 32), Report{Links: []string{"eth0"}}, hooks{func() {}, func([]byte) {}, func() {}}, logr.Discard())
				if err != nil {
					b.Fatal(err)
				}
				defer l.close()
				if all[i] = l; i == 0 {
					continue
				}
				if err := l.join(first); err != nil {
					b.Fatal(err)
				}
			}
			for i, l := range all {
				for late := time.Now().Add(time.Minute); len(l.alive()) < n; time.Sleep(beatInterval) {
					if time.Now().After(late) {
						b.Fatalf("node-%d knows of %d", i+1, len(l.alive()))
					}
				}
			}
			time.Sleep(long) // what they have to say of each other
			var packets, bytes, times float64
			for b.Loop() {
				p, o := sent(b)
				time.Sleep(long)
				q, r := sent(b)
				packets, bytes, times = packets+q-p, bytes+r-o, times+1
			}
			for i, l := range all {
				if got := len(l.alive()); got < n {
					b.Errorf("node-%d has lost %d", i+1, n-got)
				}
			}
			per := times * long.Seconds() * float64(n)
			b.ReportMetric(packets/per, "packets/s/node")
			b.ReportMetric(bytes/per, "bytes/s/node")
		})
	}
}
