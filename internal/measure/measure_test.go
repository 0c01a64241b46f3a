//go:build linux

package measure

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const ms = time.Millisecond

var errDead = errors.New("dead")

func TestTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		in     Attempts
		want   time.Duration
	}{
		"Healthy": {"nothing failed", Attempts{{At: 10 * ms, Took: ms}, {At: 20 * ms, Took: ms}}, 0},
		"Mixed": {
			"others succeed meanwhile: there is no gap, but trouble",
			Attempts{{At: 10 * ms, Took: ms}, {20 * ms, 300 * ms, errDead}, {At: 30 * ms, Took: ms}, {220 * ms, 300 * ms, errDead}, {At: 230 * ms, Took: ms}},
			200 * ms,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.in.Trouble(); got != c.want {
				t.Errorf("%s: %s, want %s", c.reason, got, c.want)
			}
		})
	}
}

// TestRoutes goes through what a kernel tells.
func TestRoutes(t *testing.T) {
	one, two, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32"), netip.MustParsePrefix("198.51.100.1/32")
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	r := newRoutes()
	r.note(one, RouteChange{at(1), 3})
	r.note(two, RouteChange{at(2), 3})
	r.note(other, RouteChange{at(9), 3})
	r.note(one, RouteChange{at(3), 2})
	r.note(one, RouteChange{at(4), 3})
	network := netip.MustParsePrefix("192.0.2.0/24")
	if n, first, last := r.Within(network); n != 2 || !first.Equal(at(2)) || !last.Equal(at(4)) {
		t.Errorf("%d routes, from %s to %s; want both of the network, and when they last changed", n, first, last)
	}
	if got := r.Fewest(one); got != 2 {
		t.Errorf("%d next hops at least, want 2: it lost one for a while", got)
	}
	r.note(other, RouteChange{at(10), 0})
	r.note(other, RouteChange{at(10).Add(3 * time.Microsecond), 2})
	if got := r.Fewest(other); got != 2 {
		t.Errorf("%d next hops at least, want 2: the route was replaced, and not gone", got)
	}
	r.note(two, RouteChange{at(5), 0})
	if n, _, _ := r.Within(network); n != 1 {
		t.Errorf("%d routes, want the one that is not gone", n)
	}
	if got := r.Fewest(two); got != 0 {
		t.Errorf("%d next hops at least of a route that went", got)
	}
}

func TestGap(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		in     Attempts
		want   time.Duration
		failed int
	}{
		"None": {reason: "nothing was tried", want: 0},
		"Healthy": {
			reason: "it cannot see what is shorter than its interval",
			in:     Attempts{{At: 10 * ms, Took: ms}, {At: 20 * ms, Took: ms}, {At: 30 * ms, Took: ms}},
			want:   11 * ms,
		},
		"Outage": {
			reason: "from the last page before to the first after",
			in:     Attempts{{At: 10 * ms, Took: ms}, {20 * ms, 300 * ms, errDead}, {30 * ms, 300 * ms, errDead}, {At: 40 * ms, Took: 2 * ms}},
			want:   31 * ms, failed: 2,
		},
		"Late": {
			reason: "a page that was asked for in the outage and came after it does not shorten it",
			in:     Attempts{{At: 10 * ms, Took: ms}, {At: 20 * ms, Took: 200 * ms}, {At: 30 * ms, Took: 200 * ms}, {At: 300 * ms, Took: ms}},
			want:   209 * ms,
		},
		"Never": {
			reason: "it lasts until the last attempt at least",
			in:     Attempts{{At: 10 * ms, Took: ms}, {500 * ms, 300 * ms, errDead}},
			want:   489 * ms, failed: 1,
		},
		"NotYet": {
			reason: "so does an outage at the begin",
			in:     Attempts{{10 * ms, 300 * ms, errDead}, {At: 400 * ms, Took: ms}},
			want:   401 * ms, failed: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.in.Gap(); got != c.want {
				t.Errorf("%s: gap is %s, want %s", c.reason, got, c.want)
			}
			if got := len(c.in.Failed()); got != c.failed {
				t.Errorf("%s: %d failed, want %d", c.reason, got, c.failed)
			}
		})
	}
}

func TestCut(t *testing.T) {
	for err, want := range map[error]bool{
		&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}:      true,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}: false,
		context.DeadlineExceeded: false,
		nil:                      false,
	} {
		if got := (Attempt{Err: err}).Cut(); got != want {
			t.Errorf("%v: cut is %t, want %t", err, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	values := []int{5, 3, 1, 2, 4}
	for q, want := range map[float64]int{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := Quantile(values, q); got != want {
			t.Errorf("%.2f: %d, want %d", q, got, want)
		}
	}
	if cmp.Diff([]int{5, 3, 1, 2, 4}, values) != "" {
		t.Error("the values were sorted in place")
	}
	if Quantile[int](nil, 0.5) != 0 {
		t.Error("no values have a median")
	}
}

// What is reached is away from 105 to 405 ms. Attempts hang meanwhile, and come on time all the same.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := Start(10*ms, func() error {
			if at := time.Since(began); at < 105*ms || at > 405*ms {
				return nil
			}
			time.Sleep(50 * ms)
			return errDead
		})
		time.Sleep(600 * ms)
		if !p.Recovered(100*ms) || p.Recovered(250*ms) {
			t.Error("it came again 200 ms ago")
		}
		got := p.Stop()
		if n := len(got.Failed()); n != 30 || got.Gap() != 310*ms {
			t.Errorf("%d failed, gap %s; want 30, and 310 ms", n, got.Gap())
		}
	})
}

func TestHeld(t *testing.T) {
	for name, c := range map[string]struct {
		serve int // so many pages, then the server hangs up
		lost  int
	}{
		"Kept": {1000, 0},
		"Lost": {10, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, err := Hold(t.Context(), 3, 100*ms, func(context.Context) (net.Conn, error) {
					near, far := net.Pipe()
					go serve(far, c.serve)
					return near, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				if lost := h.Stop(); len(lost) != c.lost {
					t.Errorf("lost %v, want %d", lost, c.lost)
				}
			})
		})
	}
}

func serve(conn net.Conn, pages int) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for range pages {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
	}
}

func TestParseStat(t *testing.T) {
	stat := "42 (a) b) c) S 1 42 42 0 -1 4194560 100 0 0 0 7 3 0 0 20 0 9 0 12345 1000000 250 18446744073709551615"
	got, err := parseStat(stat)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Usage{CPU: 100 * ms, RSS: 250 * int64(os.Getpagesize())}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseStat("42 (a) S"); err == nil {
		t.Error("half a line was read")
	}
}

var (
	ours     = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	ourIP    = netip.MustParseAddr("172.30.0.3")
	external = netip.MustParseAddr("172.30.0.100")
)

func TestParse(t *testing.T) {
	const answer = "020000000001 0200000000aa 0806 0001 0800 06 04 0002 0200000000aa ac1e0064 020000000001 ac1e0003"
	for name, c := range map[string]struct {
		frame string
		want  Answer
		ok    bool
	}{
		"Answer":    {answer, Answer{Address: external, MAC: "02:00:00:00:00:aa"}, true},
		"Announced": {strings.Replace(answer, " 020000000001 ac", " ffffffffffff ac", 1), Answer{}, false},
		"Question":  {strings.Replace(answer, "0002 ", "0001 ", 1), Answer{}, false},
		"Short":     {answer[:60], Answer{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parse(raw(t, c.frame), ours)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || ok != c.ok {
				t.Error(ok, diff)
			}
		})
	}
}

func TestTraffic(t *testing.T) {
	question, err := request(ours, ourIP, external)
	if err != nil {
		t.Fatal(err)
	}
	const (
		ether4 = "020000000001 0200000000aa 0800 "
		ether6 = "020000000001 0200000000aa 86dd "
		ip4    = "45 00 0030 0000 0000 40 %s 0000 ac1e000b ac1e000c "
		ip6    = "60000000 0020 %s ff fd300000000000000000000000000011 ff0200000000000000000001ff000000 "
	)
	frames := map[string]struct {
		frame []byte
		want  Traffic
	}{
		"Question":  {question, Traffic{Neighbour: 1}},
		"Answer":    {raw(t, "020000000001 0200000000aa 0806 0001 0800 06 04 0002 0200000000aa ac1e0064 020000000001 ac1e0003"), Traffic{Neighbour: 1}},
		"OtherARP":  {raw(t, "020000000001 0200000000aa 0806 0001 0800 06 04 0002 0200000000aa ac1f0064 020000000001 ac1e0003"), Traffic{}},
		"UDP":       {raw(t, ether4+strings.Replace(ip4, "%s", "11", 1)+"2506 2506 0008 0000"), Traffic{Gossip: 1, GossipBytes: 42}},
		"TCPAnswer": {raw(t, ether4+strings.Replace(ip4, "%s", "06", 1)+"2506 9c40 00000000"), Traffic{Gossip: 1, GossipBytes: 42}},
		"OtherTCP":  {raw(t, ether4+strings.Replace(ip4, "%s", "06", 1)+"1f90 9c40 00000000"), Traffic{}},
		"ICMP":      {raw(t, ether4+strings.Replace(ip4, "%s", "01", 1)+"2506 2506 0008 0000"), Traffic{}},
		"UDP6":      {raw(t, ether6+strings.Replace(ip6, "%s", "11", 1)+"9c40 2506 0008 0000"), Traffic{Gossip: 1, GossipBytes: 62}},
		"NDP":       {raw(t, ether6+strings.Replace(ip6, "%s", "3a", 1)+"87 00 0000 00000000 fd300000000000000000000001000000"), Traffic{Neighbour: 1}},
		"Ping6":     {raw(t, ether6+strings.Replace(ip6, "%s", "3a", 1)+"80 00 0000 00000000 fd300000000000000000000001000000"), Traffic{}},
		"Short":     {raw(t, ether6), Traffic{}},
	}
	for name, c := range frames {
		t.Run(name, func(t *testing.T) {
			var got Traffic
			got.add(c.frame, []netip.Prefix{netip.MustParsePrefix("172.30.0.0/24"), netip.MustParsePrefix("fd30::/64")})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzTraffic(f *testing.F) {
	f.Add([]byte{13: 0})
	f.Fuzz(func(_ *testing.T, frame []byte) {
		new(Traffic).add(frame, nil)
		parse(frame, ours)
	})
}

func raw(t *testing.T, digits string) []byte {
	t.Helper()
	out, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
