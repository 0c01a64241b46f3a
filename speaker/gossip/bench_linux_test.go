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
	"github.com/hashicorp/memberlist"
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
// the loopback interface. Time passes slowly for them, as one machine has to do what a hundred would.
func BenchmarkTraffic(b *testing.B) {
	const slowed, long = 10, 10 * time.Second
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprint("nodes=", n), func(b *testing.B) {
			var all []*memberlist.Memberlist
			for i := range n {
				m := slowList(b, i, slowed)
				if i > 0 {
					if _, err := m.Join([]string{all[0].LocalNode().Address()}); err != nil {
						b.Fatal(err)
					}
				}
				all = append(all, m)
			}
			for _, m := range all {
				for late := time.Now().Add(time.Minute); m.NumMembers() < n; time.Sleep(probeInterval) {
					if time.Now().After(late) {
						b.Fatalf("%s knows of %d", m.LocalNode().Name, m.NumMembers())
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
			for _, m := range all {
				if m.NumMembers() < n {
					b.Errorf("%s has lost some", m.LocalNode().Name)
				}
			}
			per := times * long.Seconds() / slowed * float64(n)
			b.ReportMetric(packets/per, "packets/s/node")
			b.ReportMetric(bytes/per, "bytes/s/node")
		})
	}
}

func slowList(b *testing.B, i, slowed int) *memberlist.Memberlist {
	b.Helper()
	keyring, err := memberlist.NewKeyring(nil, []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		b.Fatal(err)
	}
	d := &delegate{changed: func() {}, alive: map[string]Word{}}
	d.word.Store(&Word{Links: []string{"eth0"}})
	c := configOf(fmt.Sprint("node-", i+1), keyring, d, logr.Discard())
	for _, interval := range []*time.Duration{&c.ProbeInterval, &c.ProbeTimeout, &c.GossipInterval, &c.PushPullInterval} {
		*interval *= time.Duration(slowed)
	}
	if c.Transport, err = newTransport(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, 1, byte(i + 1)}), 29478)); err != nil {
		b.Fatal(err)
	}
	m, err := memberlist.Create(c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Shutdown() })
	return m
}
