package responder

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/fairlead-lb/fairlead/speaker/link"
)

// segment is a real network segment: a neighbour with a bridge, which snoops MLD as a
// switch does, and two nodes on it.
type segment struct {
	*testing.T
	names map[string]string // of the namespaces
}

const neighbour, nodeA, nodeB = "neighbour", "a", "b"

func newSegment(t *testing.T) *segment {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	s := &segment{t, map[string]string{}}
	for _, host := range []string{neighbour, nodeA, nodeB} {
		name := fmt.Sprintf("fairlead-%d-%s", os.Getpid(), host)
		if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
			t.Skipf("cannot make a network namespace: %s (%v)", out, err)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
		s.names[host] = name
	}
	s.run(neighbour, "ip link add br0 up type bridge mcast_snooping 1")
	for _, node := range []string{nodeA, nodeB} {
		s.run(neighbour, "ip link add port-"+node+" up master br0 type veth peer name eth0 netns "+s.names[node])
		s.run(node, "ip link set eth0 up")
	}
	s.run(neighbour, "ip addr add 192.0.2.1/24 dev br0")
	s.run(neighbour, "ip addr add 2001:db8::1/64 dev br0 nodad")
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
		runtime.LockOSThread() // and never unlocked, so that the thread ends with the goroutine
		ns, err := netns.GetFromName(s.names[host])
		if err != nil {
			s.Error(err)
			return
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			s.Error(err)
			return
		}
		f()
	}()
	return done
}

// speaker is a Responder on a node.
type speaker struct {
	*Responder
	link link.Link
	// failed is the latest error of the link, even if it has been overcome.
	failed atomic.Pointer[string]
}

func (s *segment) start(node string, p Protocol) *speaker {
	s.Helper()
	r := &speaker{}
	r.Responder = New(p, logr.Discard(), func() {
		if msg, ok := r.Observed().Errors["eth0"]; ok {
			r.failed.Store(&msg)
		}
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

func (r *speaker) announce(addrs ...netip.Addr) {
	d := Desired{Links: []link.Link{r.link}}
	for _, a := range addrs {
		d.Addresses = append(d.Addresses, on(a, "eth0"))
	}
	r.Set(d)
}

// eventually waits until ok; what says what for.
func (s *segment) eventually(what string, ok func() bool, otherwise func() string) {
	s.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%s: not after 5s: %s", what, otherwise())
		}
	}
}

// knows waits until the neighbour knows an address to be at a MAC address, and in some state.
func (s *segment) knows(what string, a netip.Addr, mac net.HardwareAddr, states ...string) {
	s.Helper()
	show := func() string { return s.run(neighbour, "ip neigh show dev br0 to "+a.String()) }
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
				mdb := func() string { return s.run(neighbour, "bridge mdb show dev br0") }
				s.eventually("the switch knows the group", func() bool {
					return strings.Contains(mdb(), "port port-a grp "+g.String())
				}, mdb)
				if got := s.run(nodeA, "ip maddr show dev eth0"); !strings.Contains(got, hardware(g)+" users 2") {
					t.Errorf("the network card does not let the group in for both sockets:\n%s", got)
				}
			}

			<-s.inside(neighbour, func() {
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
			s.run(neighbour, "ip neigh replace "+f.vip.String()+" lladdr "+a.link.MAC.String()+" dev br0 nud probe")
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
			s.run(neighbour, "ip neigh flush dev br0")
			<-s.inside(neighbour, func() {
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
		cmd := exec.Command("ip", "netns", "exec", s.names[neighbour], arping, "-D", "-c", "1", "-w", "2", "-I", "br0", f.vip.String())
		if out, err := cmd.CombinedOutput(); err == nil {
			s.Errorf("the neighbour thinks that nobody has %s:\n%s", f.vip, out)
		}
		return
	}
	s.run(neighbour, "ip addr add "+f.vip.String()+"/128 dev br0")
	show := func() string { return s.run(neighbour, "ip addr show dev br0") }
	s.eventually("a duplicate is refused", func() bool { return strings.Contains(show(), "dadfailed") }, show)
	s.run(neighbour, "ip addr del "+f.vip.String()+"/128 dev br0")
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
			for _, some := range [][]netip.Addr{all[:399], all[:400], all} {
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

// costly returns addresses whose filter is as long as can be: IPv6 ones from eight
// networks, and all with the first bit of their last word set, for which a comparison
// takes the kernel two instructions.
func costly(first netip.Addr, n int) []netip.Addr {
	var out []netip.Addr
	for next := first; len(out) < n; next = next.Next() {
		a := next
		if a.Is6() {
			b := a.As16()
			b[7], b[12] = byte(len(out)%8), 0xff
			a = netip.AddrFrom16(b)
		}
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
