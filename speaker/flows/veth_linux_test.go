package flows

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/fairlead-lb/fairlead/internal/netns"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// segment is a client and three nodes on a bridge. Each node has the address of a Service, and a server there: a stranger's packet
// in the midst of a connection is answered by RST, as by a pod that kube-proxy has chosen.
type segment struct {
	testing.TB

	macs map[string]string
	v6   bool
	// drivers run from the start, as speakers do: a kernel knows connections since conntrack is in use.
	drivers map[string]*Driver
	stop    map[string]func()
}

// bye has a server close the connection.
const bye = "bye"

var nodes = []string{"a", "b", "c"}

func newSegment(t testing.TB, v6 bool) *segment {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	s := &segment{t, map[string]string{}, v6, map[string]*Driver{}, map[string]func(){}}
	for i, host := range append([]string{"client"}, nodes...) {
		if out, err := exec.Command("ip", "netns", "add", s.ns(host)).CombinedOutput(); err != nil {
			t.Fatalf("make a network namespace: %s (%v)", out, err)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.ns(host)).Run() })
		s.run(host, "ip link set lo up")
		s.run(host, "sysctl -qw net.ipv6.conf.default.dad_transmits=0")
		if i == 0 {
			s.run(host, "ip link add br0 type bridge")
			s.run(host, "ip link set br0 up")
			s.run(host, "ip addr add 192.0.2.9/24 dev br0")
			s.run(host, "ip addr add 2001:db8::9/64 dev br0 nodad")
			continue
		}
		s.run("client", "ip link add port-"+host+" up master br0 type veth peer name eth0 netns "+s.ns(host))
		s.run(host, "ip link set eth0 up")
		s.run(host, fmt.Sprintf("ip addr add 192.0.2.%d/24 dev eth0", i))
		s.run(host, fmt.Sprintf("ip addr add 2001:db8::%d/64 dev eth0 nodad", i))
		s.run(host, "ip addr add "+addr.String()+"/32 dev lo")
		s.run(host, "ip addr add "+addr6.String()+"/128 dev lo nodad")
		s.macs[host] = strings.TrimSpace(s.run(host, "cat /sys/class/net/eth0/address"))
		s.serve(host)
		s.keep(host)
	}
	return s
}

func (s *segment) ns(host string) string { return fmt.Sprintf("fairlead-%d-%s", os.Getpid(), host) }

func (s *segment) run(host, command string) string {
	s.Helper()
	out, err := exec.Command("ip", append([]string{"netns", "exec", s.ns(host)}, strings.Fields(command)...)...).CombinedOutput()
	if err != nil {
		s.Fatalf("%s: %s: %s (%v)", host, command, bytes.TrimSpace(out), err)
	}
	return string(out)
}

// inside runs f on a host.
func (s *segment) inside(host string, f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- netns.Do(netns.Path(s.ns(host)), f) }()
	return done
}

func (s *segment) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// service is the address, and address that of a node.
func (s *segment) service() netip.Addr {
	if s.v6 {
		return addr6
	}
	return addr
}

func (s *segment) address(host string) netip.Addr {
	i := strings.Index("abc", host) + 1
	if s.v6 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i))
	}
	return netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i))
}

// serve has a node answer each message with the name of the node, and each datagram.
func (s *segment) serve(host string) {
	s.Helper()
	var all []io.Closer
	s.must(<-s.inside(host, func() error {
		for _, a := range []netip.Addr{addr, addr6} {
			l, err := net.Listen("tcp", netip.AddrPortFrom(a, 80).String())
			if err != nil {
				return err
			}
			p, err := net.ListenPacket("udp", netip.AddrPortFrom(a, quic).String())
			if err != nil {
				return err
			}
			all = append(all, l, p)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						for b := make([]byte, 100); ; {
							n, err := c.Read(b)
							if err != nil {
								return
							}
							if string(b[:n]) == bye {
								return
							}
							_, _ = c.Write(append([]byte(host), b[:n]...))
						}
					}()
				}
			}()
			go func() {
				for b := make([]byte, 100); ; {
					_, from, err := p.ReadFrom(b)
					if err != nil {
						return
					}
					_, _ = p.WriteTo([]byte(host), from)
				}
			}()
		}
		return nil
	}))
	s.Cleanup(func() {
		for _, c := range all {
			c.Close()
		}
	})
}

// move has the client send to another node from now on, as gratuitous ARP does.
func (s *segment) move(host string) {
	s.Helper()
	s.run("client", "ip neigh replace "+s.service().String()+" lladdr "+s.macs[host]+" dev br0")
}

// dial connects to the Service; from, if given, is the local port.
func (s *segment) dial(network string, port uint16, from ...int) net.Conn {
	s.Helper()
	var c net.Conn
	d := net.Dialer{Timeout: 2 * time.Second}
	for _, p := range from {
		d.LocalAddr = &net.TCPAddr{Port: p}
	}
	s.must(<-s.inside("client", func() (err error) {
		c, err = d.Dial(network, netip.AddrPortFrom(s.service(), port).String())
		return err
	}))
	s.Cleanup(func() { c.Close() })
	return c
}

// ask sends something, and returns which node answers.
func ask(c net.Conn, message string) (string, error) {
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, message); err != nil {
		return "", err
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	return string(b[:min(n, 1)]), err
}

func (s *segment) answers(c net.Conn, message, host string) {
	s.Helper()
	if got, err := ask(c, message); got != host || err != nil {
		s.Errorf("%q is answered by %q (%v), want %q", message, got, err, host)
	}
}

// keep runs a driver on a node.
func (s *segment) keep(host string) {
	d := New(logr.Discard(), true, func() {})
	ctx, cancel := context.WithCancel(context.Background())
	done := s.inside(host, func() error { return d.Run(ctx) })
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
	})
	s.Cleanup(stop)
	s.drivers[host], s.stop[host] = d, stop
}

func (s *segment) pass(host, to string, until time.Time, hops int) {
	s.Helper()
	d := s.drivers[host]
	d.Set(&announce.Passing{Passes: []announce.Pass{{Addr: s.service(), To: s.address(to), Until: until}}, Hops: hops})
	if o := d.Observed(); o.Error != nil || o.Addresses != 1 {
		s.Fatalf("observed %v", o)
	}
}

// passed counts packets, of a node that may have a driver no more.
func (s *segment) passed(host string) (n uint64) {
	s.Helper()
	s.must(<-s.inside(host, func() error {
		n = New(logr.Discard(), true, func() {}).Passed()
		return nil
	}))
	return n
}

func each(t *testing.T, f func(t *testing.T, s *segment)) {
	for name, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) { f(t, newSegment(t, v6)) })
	}
}

// TestMoved: a connection goes on at the node where it began, and a new one begins at the node that has the address now.
func TestMoved(t *testing.T) {
	each(t, func(t *testing.T, s *segment) {
		s.move("a")
		before, cut, idle := s.dial("tcp", 80), s.dial("tcp", 80), s.dial("tcp", 80)
		s.answers(before, "1", "a")
		s.answers(cut, "1", "a")
		s.answers(idle, "1", "a")

		s.move("b")
		if got, err := ask(cut, "2"); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("without a table, a connection that has moved is answered by %q (%v), want RST: this test would prove nothing", got, err)
		}
		s.move("a")
		s.pass("b", "a", time.Now().Add(time.Minute), 1)
		s.move("b")
		for range 3 {
			s.answers(before, "2", "a")
		}
		after := s.dial("tcp", 80)
		s.answers(after, "1", "b")
		sent := make(chan error, 1)
		go func() { // more than a window
			_, err := io.WriteString(before, strings.Repeat("x", 1<<20)+"|")
			sent <- err
		}()
		if got, err := bufio.NewReader(before).ReadString('|'); err != nil || <-sent != nil {
			t.Errorf("of a megabyte %d bytes came back: %v", len(got), err)
		}
		if n := s.passed("b"); n == 0 {
			t.Error("no packet was passed on: the test proves nothing")
		}

		// The first packet may be the one that ends the connection.
		s.must(idle.(*net.TCPConn).CloseWrite())
		_ = idle.SetDeadline(time.Now().Add(2 * time.Second))
		if n, err := idle.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
			t.Errorf("after the client's end: %d bytes, %v; want the server's end", n, err)
		}

		// Back again: each node knows its own.
		s.pass("a", "b", time.Now().Add(time.Minute), 1)
		s.move("a")
		s.answers(before, "3", "a")
		s.answers(after, "2", "b")
	})
}

// TestReusedPort: a connection goes on though the node has one with the same ports in memory that has ended.
func TestReusedPort(t *testing.T) {
	each(t, func(t *testing.T, s *segment) {
		s.move("b")
		former := s.dial("tcp", 80, 40000)
		s.answers(former, "1", "b")
		_, err := io.WriteString(former, bye)
		s.must(err)
		_, err = former.Read(make([]byte, 1))
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		s.must(former.Close())
		s.move("a")
		c := s.dial("tcp", 80, 40000)
		s.answers(c, "1", "a")
		s.pass("b", "a", time.Now().Add(time.Minute), 1)
		s.move("b")
		s.answers(c, "2", "a")
	})
}

// TestRing: a packet goes around until a node knows it, and no further.
func TestRing(t *testing.T) {
	each(t, func(t *testing.T, s *segment) {
		s.move("c")
		known, unknown := s.dial("tcp", 80), s.dial("tcp", 80)
		s.answers(known, "1", "c")
		s.answers(unknown, "1", "c")
		for i, host := range nodes {
			s.pass(host, nodes[(i+1)%len(nodes)], time.Time{}, len(nodes)-1)
		}
		s.move("a")
		s.answers(known, "2", "c")
		if a, b, c := s.passed("a"), s.passed("b"), s.passed("c"); a == 0 || a != b || c != 0 {
			t.Errorf("passed on: %d by a, %d by b, %d by c", a, b, c)
		}
		// Two nodes that each take the other for the next, of a connection of a third.
		s.pass("a", "b", time.Time{}, 2)
		s.pass("b", "a", time.Time{}, 2)
		before := s.passed("a") + s.passed("b")
		if got, err := ask(unknown, "2"); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a connection that nobody knows is answered by %q (%v), want RST", got, err)
		}
		if n := s.passed("a") + s.passed("b") - before; n != 2 {
			t.Errorf("one packet was passed on %d times, want 2", n)
		}
	})
}

// TestExpires: what a speaker leaves goes on without it, is taken over by the next, and ends in time.
func TestExpires(t *testing.T) {
	each(t, func(t *testing.T, s *segment) {
		s.move("a")
		c := s.dial("tcp", 80)
		s.answers(c, "1", "a")
		s.pass("b", "a", time.Now().Add(3*time.Second), 1)
		s.stop["b"]()
		s.move("b")
		s.answers(c, "2", "a")

		s.keep("b")
		d := s.drivers["b"]
		d.Set(&announce.Passing{Hops: 2})
		if o := d.Observed(); o.Addresses != 1 || o.Error != nil {
			t.Errorf("a speaker that starts again has %v, want the entry of the one before", o)
		}
		s.answers(c, "3", "a")
		time.Sleep(3 * time.Second)
		if got, err := ask(c, "4"); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("at the end of the time, answered by %q (%v), want RST", got, err)
		}
		d.Set(&announce.Passing{Hops: 1}) // look again
		for end := time.Now().Add(10 * time.Second); d.Observed().Addresses > 0 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		s.stop["b"]()
		if err := exec.Command("nft", "-v").Run(); err == nil {
			if got := s.run("b", "nft list tables"); strings.Contains(got, name) {
				t.Errorf("a speaker that had nothing to pass on leaves %s", got)
			}
		}
	})
}

// TestQUIC: datagrams with the long header begin a connection, those with the short one go on with theirs.
func TestQUIC(t *testing.T) {
	const initial, short = "\xc3 initial", "\x43 one RTT"
	each(t, func(_ *testing.T, s *segment) {
		s.move("a")
		before, cut := s.dial("udp", quic), s.dial("udp", quic)
		s.answers(before, initial, "a")
		s.answers(cut, initial, "a")
		s.move("b")
		s.answers(cut, short, "b") // without a table
		s.pass("b", "a", time.Now().Add(time.Minute), 1)
		s.answers(before, short, "a")
		after := s.dial("udp", quic)
		s.answers(after, initial, "b")
		s.answers(after, short, "b")
	})
}

// TestPing: the node that has an address answers echo requests, others do not, and no more than so many.
func TestPing(t *testing.T) {
	each(t, func(t *testing.T, s *segment) {
		for _, host := range nodes { // no interface has the address, as in a cluster
			s.run(host, "ip addr flush dev lo")
			s.run(host, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
		}
		s.move("a")
		if n := s.ping(1, 56); n > 0 {
			t.Fatal("without the table it is answered, and this test would prove nothing")
		}
		s.drivers["a"].Set(&announce.Passing{Own: []netip.Addr{s.service()}})
		s.echoes(true)
		for _, size := range []int{56, 57, 1400} { // a checksum is over pairs of bytes
			if n := s.ping(3, size); n != 3 {
				t.Errorf("%d of 3 requests of %d bytes are answered", n, size)
			}
		}
		if n := s.ping(3000, 56); n < pings/20 || n > 3*pings/2 {
			t.Errorf("%d of 3000 requests are answered in less than a second, want some %d", n, pings)
		}
		s.drivers["a"].Set(&announce.Passing{})
		s.echoes(false)
	})
}

// TestNoLoop: what is for an address that this node draws traffic for, and that nobody takes, does not go back to the router. The client
// is the router here, which sends all of it to node a, and node a sends by its default route what it does not have.
func TestNoLoop(t *testing.T) {
	each(t, func(t *testing.T, s *segment) {
		all, inside, outside := netip.MustParsePrefix("198.51.100.0/28"), netip.MustParseAddr("198.51.100.15"), netip.MustParseAddr("198.51.100.16")
		routes, counter := "route", "Ip: Forwarding"
		if v6 := netip.MustParsePrefix("2001:db8:1::/124"); s.v6 {
			all, inside, outside, routes, counter = v6, netip.MustParseAddr("2001:db8:1::f"), netip.MustParseAddr("2001:db8:1::10"), "-6 route", "Ip6OutForwDatagrams"
		}
		for _, host := range []string{"client", "a"} {
			s.run(host, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.accept_local=1 net.ipv4.conf.all.rp_filter=0")
		}
		s.run("client", fmt.Sprintf("ip %s add %s via %s", routes, netip.PrefixFrom(all.Addr(), all.Bits()-1), s.address("a")))
		client := netip.MustParseAddr("192.0.2.9")
		if s.v6 {
			client = netip.MustParseAddr("2001:db8::9")
		}
		s.run("a", fmt.Sprintf("ip %s add default via %s", routes, client))
		loops := func(to netip.Addr) bool {
			s.Helper()
			before := s.forwarded("client", counter)
			for _, network := range []string{"udp", "tcp"} {
				<-s.inside("client", func() error {
					d := net.Dialer{Timeout: 100 * time.Millisecond}
					c, err := d.Dial(network, netip.AddrPortFrom(to, 80).String())
					if err != nil {
						return err
					}
					defer c.Close()
					_, err = c.Write([]byte("x"))
					return err
				})
			}
			return s.forwarded("client", counter) > before
		}
		for _, step := range []struct {
			reason    string
			want      announce.Passing
			in, loops bool
		}{
			{"nothing is announced, and this test proves something", announce.Passing{}, true, true},
			{"an unused address of an aggregate", announce.Passing{Aggregates: []netip.Prefix{all}}, true, false},
			{"beyond it", announce.Passing{Aggregates: []netip.Prefix{all}}, false, true},
			{"one in another", announce.Passing{Aggregates: []netip.Prefix{all, netip.PrefixFrom(all.Addr(), all.Bits()+1)}}, true, false},
			{"only a part is left", announce.Passing{Aggregates: []netip.Prefix{netip.PrefixFrom(all.Addr(), all.Bits()+1)}}, true, true},
			{"a port that no Service has", announce.Passing{Own: []netip.Addr{inside}}, true, false},
			{"another address", announce.Passing{Own: []netip.Addr{inside}}, false, true},
			{"announced no more", announce.Passing{}, true, true},
		} {
			to := outside
			if step.in {
				to = inside
			}
			s.drivers["a"].Set(&step.want)
			for end := time.Now().Add(5 * time.Second); loops(to) != step.loops; { // Set does not wait for this
				if o := s.drivers["a"].Observed(); time.Now().After(end) || o.Error != nil {
					t.Fatalf("%s: still not so after 5 s: loops is %t (%v)", step.reason, step.loops, o.Error)
				}
			}
		}
	})
}

// forwarded counts the packets that a host has forwarded.
func (s *segment) forwarded(host, counter string) int {
	s.Helper()
	if s.v6 {
		for line := range strings.Lines(s.run(host, "cat /proc/net/snmp6")) {
			if f := strings.Fields(line); f[0] == counter {
				n, err := strconv.Atoi(f[1])
				s.must(err)
				return n
			}
		}
	}
	lines := strings.Split(s.run(host, "cat /proc/net/snmp"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, counter) {
			n, err := strconv.Atoi(strings.Fields(lines[i+1])[slices.Index(strings.Fields(line), "ForwDatagrams")])
			s.must(err)
			return n
		}
	}
	s.Fatalf("%s does not count %s", host, counter)
	return 0
}

// echoes waits until echo requests are answered, or are not any more.
func (s *segment) echoes(want bool) {
	s.Helper()
	for end := time.Now().Add(10 * time.Second); s.ping(1, 56) > 0 != want; {
		if time.Now().After(end) {
			s.Fatalf("after 10 s still not so: answered is %t", want)
		}
	}
}

// ping sends echo requests, and counts the replies that come from the Service with what was sent.
func (s *segment) ping(n, size int) (received int) {
	s.Helper()
	network, local, number, request, reply := "ip4:icmp", "0.0.0.0", 1, icmp.Type(ipv4.ICMPTypeEcho), icmp.Type(ipv4.ICMPTypeEchoReply)
	if s.v6 {
		network, local, number, request, reply = "ip6:ipv6-icmp", "::", 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	s.must(<-s.inside("client", func() error {
		c, err := icmp.ListenPacket(network, local)
		if err != nil {
			return err
		}
		defer c.Close()
		data := bytes.Repeat([]byte("x"), size)
		text, err := (&icmp.Message{Type: request, Body: &icmp.Echo{ID: 7, Data: data}}).Marshal(nil)
		if err != nil {
			return err
		}
		to := &net.IPAddr{IP: s.service().AsSlice()}
		for range n {
			if _, err := c.WriteTo(text, to); err != nil {
				return err
			}
		}
		b := make([]byte, 2000)
		for received < n {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			got, from, err := c.ReadFrom(b)
			if err != nil {
				return nil // no more come
			}
			m, err := icmp.ParseMessage(number, b[:got])
			if err != nil {
				return err
			}
			if e, ok := m.Body.(*icmp.Echo); ok && m.Type == reply && e.ID == 7 && bytes.Equal(e.Data, data) && from.String() == to.String() {
				received++
			}
		}
		return nil
	}))
	return received
}
