package flows

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// BenchmarkPacket sends datagrams of one connection to a node, whose kernel tracks it as kube-proxy has it do: without a table of ours,
// with an empty one, with 3,000 addresses that have moved, and where each packet is passed on. An operation is a packet, on its whole way
// to a socket, as a veth delivers it on the sender's processor.
func BenchmarkPacket(b *testing.B) {
	s := newSegment(b, false)
	for _, stop := range s.stop {
		stop()
	}
	s.track()
	many := make([]announce.Pass, 3000)
	for i := range many {
		many[i] = announce.Pass{Addr: netip.AddrFrom4([4]byte{198, 51, byte(i / 250), byte(i % 250)}), To: s.address("b"), Until: time.Now().Add(time.Hour)}
	}
	this := announce.Pass{Addr: addr, To: s.address("b"), Until: time.Now().Add(time.Hour)}
	for _, tc := range []struct {
		name   string
		table  bool
		passes []announce.Pass
		port   uint16
	}{
		{"NoTable", false, nil, idle}, {"Empty", true, nil, idle}, {"Moved3000", true, slices.Concat(many, []announce.Pass{this}), idle}, {"PassedOn", true, []announce.Pass{this}, quic},
	} {
		b.Run(tc.name, func(b *testing.B) {
			s := *s
			s.TB = b
			s.move("a")
			if tc.table {
				s.keep("a")
				s.drivers["a"].Set(&announce.Passing{Passes: tc.passes, Hops: 1})
				if o := s.drivers["a"].Observed(); o.Error != nil || o.Addresses != len(tc.passes) {
					b.Fatalf("observed %v", o)
				}
				defer func() {
					s.drivers["a"].Set(&announce.Passing{})
					s.stop["a"]()
				}()
			}
			s.idle("a")
			c := s.dial("udp", tc.port)
			packet := make([]byte, 200)
			if packet[0] = 0x40; tc.port == idle {
				s.answers(c, "1", "a") // one answer, and the kernel knows the connection
			}
			for b.Loop() {
				_, _ = c.Write(packet)
			}
		})
	}
}

// track has the nodes' kernels track connections, as kube-proxy does.
func (s *segment) track() {
	s.Helper()
	tracked := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "tracked"}
	for _, host := range nodes {
		s.must(<-s.inside(host, func() error {
			c := &nftables.Conn{}
			at := nftables.ChainPriority(0)
			c.AddTable(tracked)
			chain := c.AddChain(&nftables.Chain{Table: tracked, Name: "in", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: &at})
			c.AddRule(&nftables.Rule{Table: tracked, Chain: chain, Exprs: append(state(expr.CtStateBitINVALID), verdict(expr.VerdictDrop, "")...)})
			return c.Flush()
		}))
	}
}

// BenchmarkForwarded sends datagrams of one connection through a node to another one, as packets for pods go: without a table of ours, and
// with 3,000 own addresses and 30 aggregates. Without an answer the connection stays new, and each packet is looked up.
func BenchmarkForwarded(b *testing.B) {
	s := newSegment(b, false)
	for _, stop := range s.stop {
		stop()
	}
	s.track()
	s.run("a", "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0")
	s.run("a", "ip addr flush dev lo")
	s.run("a", fmt.Sprintf("ip route add %s via %s", addr, s.address("b")))
	s.move("a")
	want := announce.Passing{}
	for i := range 3000 {
		want.Own = append(want.Own, netip.AddrFrom4([4]byte{198, 51, byte(i / 250), byte(i % 250)}))
	}
	for i := range 30 {
		want.Aggregates = append(want.Aggregates, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 28))
	}
	for _, tc := range []struct {
		name            string
		table, answered bool
	}{{"NoTable", false, true}, {"Answered", true, true}, {"NoTableUnanswered", false, false}, {"Unanswered", true, false}} {
		b.Run(tc.name, func(b *testing.B) {
			s := *s
			s.TB = b
			if tc.table {
				s.keep("a")
				s.drivers["a"].Set(&want)
				for !strings.Contains(s.run("a", "nft list set ip fairlead aggregates"), "10.0.29.0/28") {
					time.Sleep(10 * time.Millisecond)
				}
				defer func() {
					s.drivers["a"].Set(&announce.Passing{})
					s.stop["a"]()
				}()
			}
			s.idle("b")
			c := s.dial("udp", idle)
			packet := make([]byte, 200)
			if tc.answered {
				s.answers(c, "1", "b")
			}
			for b.Loop() {
				_, _ = c.Write(packet)
			}
		})
	}
}

// idle is the port of a server that answers the first datagram, and leaves the others in its socket, which drops them when it is full.
const idle = 9

func (s *segment) idle(host string) {
	s.Helper()
	var p net.PacketConn
	s.must(<-s.inside(host, func() (err error) {
		p, err = net.ListenPacket("udp", netip.AddrPortFrom(addr, idle).String())
		return err
	}))
	s.Cleanup(func() { p.Close() })
	go func() {
		if _, from, err := p.ReadFrom(make([]byte, 300)); err == nil {
			_, _ = p.WriteTo([]byte(host), from)
		}
	}()
}

// BenchmarkSet has a driver put so many addresses into the kernel, as when a node is drained.
func BenchmarkSet(b *testing.B) {
	s := newSegment(b, false)
	for _, n := range []int{1, 100, 3000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			passes := make([]announce.Pass, n)
			s.must(<-s.inside("a", func() error {
				k := newKernel(config.IPv4, true)
				for b.Loop() {
					now := time.Now()
					for i := range passes {
						passes[i] = announce.Pass{Addr: netip.AddrFrom4([4]byte{198, 51, byte(i / 250), byte(i % 250)}), To: s.address("b"), Until: now.Add(time.Hour)}
					}
					c := change{add: passes}
					if err := k.apply(changes{next: c}, now); err != nil {
						return err
					}
					c = change{}
					for _, p := range passes {
						c.remove = append(c.remove, p.Addr)
					}
					if err := k.apply(changes{next: c}, now); err != nil {
						return err
					}
				}
				return nil
			}))
		})
	}
}
