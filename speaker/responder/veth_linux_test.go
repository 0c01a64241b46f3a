package responder

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"

	"github.com/fairlead-lb/fairlead/internal/netns"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// segment is a real network segment: a neighbour with a bridge, which snoops MLD as a
// switch does, and two nodes on it.
type segment struct {
	*testing.T
	names map[string]string // of the namespaces
}

const peer, nodeA, nodeB = "peer", "a", "b"

func newSegment(t *testing.T) *segment {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	s := &segment{t, map[string]string{}}
	for _, host := range []string{peer, nodeA, nodeB} {
		name := fmt.Sprintf("fairlead-%d-%s", os.Getpid(), host)
		if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
			t.Skipf("cannot make a network namespace: %s (%v)", out, err)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
		s.names[host] = name
	}
	s.run(peer, "ip link add br0 up type bridge mcast_snooping 1")
	for _, node := range []string{nodeA, nodeB} {
		s.run(peer, "ip link add port-"+node+" up master br0 type veth peer name eth0 netns "+s.names[node])
		s.run(node, "ip link set eth0 up")
	}
	s.run(peer, "ip addr add 192.0.2.1/24 dev br0")
	s.run(peer, "ip addr add 2001:db8::1/64 dev br0 nodad")
	return s
}

// run runs a command on a host.
func (s *segment) run(host, command string) string {
	s.Helper()
	out, err := exec.Command("ip", append([]string{"netns", "exec", s.names[host]}, strings.Fields(command)...)...).CombinedOutput()
	if err != nil {
		s.Fatalf("%s: %s: %s (%v)", host, command, bytes.TrimSpace(out), err)
	}
	return string(out)
}

// inside starts f on a host, and returns a channel that is closed at its end.
func (s *segment) inside(host string, f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := netns.Do(netns.Path(s.names[host]), func() error { f(); return nil }); err != nil {
			s.Error(err)
		}
	}()
	return done
}

// speaker is a Responder on a node.
type speaker struct {
	*Responder
	link link.Link
	// failed is the latest error of the link, even if it has been overcome.
	failed atomic.Pointer[string]
	// seen is the latest sighting.
	seen atomic.Pointer[Sighting]
}

func (s *segment) start(node string, p Protocol) *speaker {
	s.Helper()
	r := &speaker{}
	r.Responder = New(p, Options{
		Log: logr.Discard(),
		Changed: func() {
			if msg, ok := r.Observed().Errors["eth0"]; ok {
				r.failed.Store(&msg)
			}
		},
		Seen: func(g Sighting) { r.seen.Store(&g) },
	})
	<-s.inside(node, func() {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			s.Error(err)
			return
		}
		r.link = link.Link{Index: l.Attrs().Index, Name: "eth0", MAC: l.Attrs().HardwareAddr}
	})
	ctx, stop := context.WithCancel(context.Background())
	done := s.inside(node, func() {
		if err := r.Run(ctx); err != nil {
			s.Error(err)
		}
	})
	s.Cleanup(func() {
		stop()
		<-done
	})
	return r
}

func (r *speaker) announce(addrs ...netip.Addr) { r.as(announce.Own, nil, addrs...) }

// as has addresses answered for in some mode; mac is for Standin.
func (r *speaker) as(m announce.Mode, mac net.HardwareAddr, addrs ...netip.Addr) {
	d := Desired{Links: []link.Link{r.link}}
	for _, a := range addrs {
		d.Addresses = append(d.Addresses, announce.Task{Addr: a, Links: []string{"eth0"}, Mode: m, MACs: map[string]net.HardwareAddr{"eth0": mac}})
	}
	r.Set(d)
}

// release has a node let go of all addresses, and waits until it has.
func (s *segment) release(r *speaker) {
	s.Helper()
	r.announce()
	s.eventually("lets go", func() bool { return len(r.Observed().Answering) == 0 }, func() string { return fmt.Sprint(r.Observed().Answering) })
}

// nobody waits until nobody answers for the address any more.
func (s *segment) nobody(what string, f family) {
	s.Helper()
	for _, ip := range []string{"ipv4", "ipv6"} {
		s.run(peer, "sysctl -q -w net."+ip+".neigh.br0.retrans_time_ms=100") // so that it gives up soon
	}
	show := func() string { return s.run(peer, "ip neigh show dev br0 to "+f.vip.String()) }
	s.eventually(what, func() bool {
		entry := show()
		if !strings.Contains(entry, "INCOMPLETE") && !strings.Contains(entry, "FAILED") { // it is answered, or has not been asked for
			s.forget(f)
			s.call(f)
		}
		return strings.Contains(entry, "FAILED")
	}, show)
}

// call has the neighbour look for the address.
func (s *segment) call(f family) {
	<-s.inside(peer, func() {
		c, err := net.Dial("udp", net.JoinHostPort(f.vip.String(), "9"))
		if err != nil {
			s.Error(err)
			return
		}
		defer c.Close()
		_, _ = c.Write([]byte("hello")) // an error is about what was sent before
	})
}

// forget has the neighbour know nothing of the address.
func (s *segment) forget(f family) {
	s.run(peer, "ip neigh flush to "+f.vip.String()+" dev br0 nud all")
}

// eventually waits until ok; what says what for. A kernel that has been told of an address
// just when it asked waits five seconds (DELAY) before it asks again.
func (s *segment) eventually(what string, ok func() bool, otherwise func() string) {
	s.Helper()
	for end := time.Now().Add(8 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%s: not after 8s: %s", what, otherwise())
		}
	}
}

// knows waits until the neighbour knows an address to be at a MAC address, and in some state.
func (s *segment) knows(what string, a netip.Addr, mac net.HardwareAddr, states ...string) {
	s.Helper()
	show := func() string { return s.run(peer, "ip neigh show dev br0 to "+a.String()) }
	s.eventually(what, func() bool {
		entry := show()
		fits := len(states) == 0
		for _, state := range states {
			fits = fits || strings.Contains(entry, state)
		}
		return fits && strings.Contains(entry, "lladdr "+mac.String())
	}, show)
}

// TestSegment has the kernel of a neighbour find an address, keep it, refuse to have
// it twice, and see it move.
func TestSegment(t *testing.T) {
	for _, f := range families {
		t.Run(f.protocol.Name(), func(t *testing.T) {
			s := newSegment(t)
			a, b := s.start(nodeA, f.protocol), s.start(nodeB, f.protocol)
			a.announce(f.vip)
			served := func(r *speaker) func() bool { return func() bool { return len(r.Observed().Answering) == 1 } }
			s.eventually("a answers", served(a), func() string { return fmt.Sprint(a.Observed().Errors) })
			for _, g := range f.groups {
				mdb := func() string { return s.run(peer, "bridge mdb show dev br0") }
				s.eventually("the switch knows the group", func() bool {
					return strings.Contains(mdb(), "port port-a grp "+g.String())
				}, mdb)
				if got := s.run(nodeA, "ip maddr show dev eth0"); !strings.Contains(got, hardware(g)+" users 2") {
					t.Errorf("the network card does not let the group in for both sockets:\n%s", got)
				}
			}

			<-s.inside(peer, func() {
				c, err := net.Dial("udp", net.JoinHostPort(f.vip.String(), "9"))
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if _, err := c.Write([]byte("hello")); err != nil {
					t.Error(err)
				}
			})
			s.knows("the neighbour finds the address", f.vip, a.link.MAC, "REACHABLE")

			asked := a.Stats.Requests.Load()
			s.run(peer, "ip neigh replace "+f.vip.String()+" lladdr "+a.link.MAC.String()+" dev br0 nud probe")
			s.knows("the neighbour asks the address itself whether it is still there", f.vip, a.link.MAC, "REACHABLE")
			if a.Stats.Requests.Load() == asked {
				t.Error("the neighbour did not ask")
			}

			s.refusesDuplicate(f)

			a.announce()
			b.announce(f.vip)
			s.knows("the neighbour sees the address move", f.vip, b.link.MAC)
			for _, g := range f.groups {
				s.eventually("the group is left", func() bool { return !strings.Contains(s.run(nodeA, "ip maddr show dev eth0"), hardware(g)) },
					func() string { return s.run(nodeA, "ip maddr show dev eth0") })
			}
			s.run(peer, "ip neigh flush dev br0")
			<-s.inside(peer, func() {
				if c, err := net.Dial("udp", net.JoinHostPort(f.vip.String(), "9")); err == nil {
					_, _ = c.Write([]byte("hello"))
					c.Close()
				}
			})
			s.knows("the neighbour finds it again", f.vip, b.link.MAC, "REACHABLE")
		})
	}
}

// refusesDuplicate has the neighbour find out that it cannot have the address too.
func (s *segment) refusesDuplicate(f family) {
	s.Helper()
	if f.vip.Is4() {
		arping, err := exec.LookPath("arping")
		if err != nil {
			return // the kernel itself does not look for duplicates (RFC 5227)
		}
		cmd := exec.Command("ip", "netns", "exec", s.names[peer], arping, "-D", "-c", "1", "-w", "2", "-I", "br0", f.vip.String())
		if out, err := cmd.CombinedOutput(); err == nil {
			s.Errorf("the neighbour thinks that nobody has %s:\n%s", f.vip, out)
		}
		return
	}
	s.run(peer, "ip addr add "+f.vip.String()+"/128 dev br0")
	show := func() string { return s.run(peer, "ip addr show dev br0") }
	s.eventually("a duplicate is refused", func() bool { return strings.Contains(show(), "dadfailed") }, show)
	s.run(peer, "ip addr del "+f.vip.String()+"/128 dev br0")
}

// TestHandOver has an address move from one node to another, which are told by each other's frames alone.
func TestHandOver(t *testing.T) {
	for _, f := range families {
		t.Run(f.protocol.Name(), func(t *testing.T) {
			s := newSegment(t)
			a, b := s.start(nodeA, f.protocol), s.start(nodeB, f.protocol)
			a.announce(f.vip)
			s.eventually("a answers", func() bool { return len(a.Observed().Answering) == 1 }, func() string { return fmt.Sprint(a.Observed().Errors) })
			a.as(announce.Yielding, nil, f.vip)
			s.forget(f)
			s.call(f)
			s.knows("who yields still answers", f.vip, a.link.MAC, "REACHABLE")
			b.announce(f.vip)
			s.knows("the neighbour has heard the claim", f.vip, b.link.MAC)
			s.forget(f)
			s.call(f)
			s.knows("the other answers", f.vip, b.link.MAC, "REACHABLE")
			s.release(b)
			s.nobody("who yields has heard the claim too", f)
			if g := a.seen.Load(); g != nil {
				t.Errorf("a claim that was expected is told of: %+v", g)
			}
		})
	}
}

// TestStandin has a node answer for another one: the address and the switch's port are that other's.
func TestStandin(t *testing.T) {
	for _, f := range families {
		t.Run(f.protocol.Name(), func(t *testing.T) {
			s := newSegment(t)
			a, b := s.start(nodeA, f.protocol), s.start(nodeB, f.protocol)
			a.as(announce.Standin, b.link.MAC, f.vip)
			s.eventually("the neighbour finds the address at b", func() bool {
				s.call(f)
				return strings.Contains(s.run(peer, "ip neigh show dev br0 to "+f.vip.String()), "lladdr "+b.link.MAC.String())
			}, func() string { return fmt.Sprint(a.Observed().Errors) })
			if a.Stats.Replies.Load() == 0 || b.Stats.Replies.Load() > 0 || a.Stats.Claims.Load() > 0 {
				t.Errorf("a has replied %d times and claimed %d, b replied %d", a.Stats.Replies.Load(), a.Stats.Claims.Load(), b.Stats.Replies.Load())
			}
			if got := s.run(peer, "bridge fdb show br br0 brport port-a"); strings.Contains(got, b.link.MAC.String()) {
				t.Errorf("the switch looks for b behind the port of a:\n%s", got)
			}

			b.announce(f.vip)
			s.eventually("b claims", func() bool { return b.Stats.Claims.Load() > 0 }, func() string { return fmt.Sprint(b.Observed().Errors) })
			a.as(announce.Standin, net.HardwareAddr{2, 0, 0, 0, 0, 77}, f.vip)
			s.release(b)
			b.announce(f.vip)
			s.eventually("who stands in for another reports b", func() bool { g := a.seen.Load(); return g != nil && bytes.Equal(g.MAC, b.link.MAC) },
				func() string { return fmt.Sprint(a.seen.Load()) })
		})
	}
}

// TestConflict has a neighbour use an address that a node announces: after the node, and before.
func TestConflict(t *testing.T) {
	for _, f := range families {
		t.Run(f.protocol.Name(), func(t *testing.T) {
			s := newSegment(t)
			a, b := s.start(nodeA, f.protocol), s.start(nodeB, f.protocol)
			bridge := strings.Fields(s.run(peer, "cat /sys/class/net/br0/address"))[0]
			saw := func(r *speaker, mac string, probing bool) func() bool {
				return func() bool {
					g := r.seen.Load()
					return g != nil && g.Addr == f.vip && g.Link == "eth0" && g.MAC.String() == mac && g.Probing == probing
				}
			}
			said := func(r *speaker) func() string { return func() string { return fmt.Sprintf("%+v", r.seen.Load()) } }

			a.announce(f.vip)
			s.eventually("a claims", func() bool { return a.Stats.Claims.Load() > 0 }, said(a))
			b.announce(f.vip)
			s.eventually("a sees b", saw(a, b.link.MAC.String(), false), said(a))
			s.eventually("b sees a defend", saw(b, a.link.MAC.String(), false), said(b))
			s.release(a)
			s.release(b)

			prefix := map[bool]string{true: "/32", false: "/128 nodad"}[f.vip.Is4()]
			s.run(peer, "ip addr add "+f.vip.String()+prefix+" dev br0")
			a.as(announce.Fresh, nil, f.vip)
			s.eventually("the neighbour answers a's probe", saw(a, bridge, true), said(a))
			s.eventually("a does not announce it", func() bool { return len(a.Observed().Answering) == 0 }, said(a))
			if p := a.Stats.Probes.Load(); p == 0 {
				t.Error("no probe is counted")
			}
		})
	}
}

func hardware(group netip.Addr) string { return ethernet(group).String() }

// TestManyAddresses has a link serve more addresses than one socket can be a member of
// groups for, and their filter be replaced, with the memory of an old kernel.
func TestManyAddresses(t *testing.T) {
	for _, f := range families {
		t.Run(f.protocol.Name(), func(t *testing.T) {
			s := newSegment(t)
			s.run(nodeA, "sysctl -q -w net.core.optmem_max=20480")
			a := s.start(nodeA, f.protocol)
			all := costly(f.vip, 1000)
			for _, some := range [][]netip.Addr{all[:287], all[:288], all} {
				a.announce(some...)
				s.eventually("all are answered for", func() bool { return len(a.Observed().Answering) == len(some) },
					func() string { return fmt.Sprint(a.Observed().Errors) })
				if msg := a.failed.Load(); msg != nil {
					t.Fatalf("with %d addresses: %s", len(some), *msg)
				}
			}
			groups := f.protocol.Groups(all)
			if got := strings.Count(s.run(nodeA, "ip maddr show dev eth0"), "inet6 ff02::1:ff"); got < len(groups) {
				t.Errorf("member of %d groups, want %d", got, len(groups))
			}
		})
	}
}

// costly returns addresses whose filter is as long as can be: each in a block of its own, and IPv6 ones from
// eight networks.
func costly(first netip.Addr, n int) []netip.Addr {
	var out []netip.Addr
	for i := range n {
		b := first.AsSlice()
		last := b[len(b)-4:]
		binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)+uint32(32*i))
		if first.Is6() {
			b[7] = byte(i % 8)
		}
		a, _ := netip.AddrFromSlice(b)
		out = append(out, a)
	}
	return out
}

// TestLinkWithoutIPv6 has a link told of on which no group can be joined, and served once one can.
func TestLinkWithoutIPv6(t *testing.T) {
	s := newSegment(t)
	s.run(nodeA, "ip link set eth0 mtu 1200") // the kernel has no IPv6 on a link with less than 1280
	for _, f := range families {
		r := s.start(nodeA, f.protocol)
		r.announce(f.vip)
		if len(f.groups) == 0 {
			s.eventually("needs none", func() bool { return len(r.Observed().Answering) == 1 }, func() string { return fmt.Sprint(r.Observed().Errors) })
			continue
		}
		s.eventually("an error", func() bool {
			return strings.HasPrefix(r.Observed().Errors["eth0"], "join groups on eth0: ff02::1:ff00:7: ")
		}, func() string { return fmt.Sprint(r.Observed().Errors) })
		s.run(nodeA, "ip link set eth0 mtu 1500")
		s.eventually("served", func() bool { return len(r.Observed().Answering) == 1 && len(r.Observed().Errors) == 0 },
			func() string { return fmt.Sprint(r.Observed().Errors) })
	}
}
