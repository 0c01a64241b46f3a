package link

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// inNamespace gives the test a network namespace of its own, on its own thread.
func inNamespace(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("makes a network namespace: needs root")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and the namespace with it
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
}

// TestWatch follows a real interface through its life.
func TestWatch(t *testing.T) {
	inNamespace(t)
	ctx, stop := context.WithCancel(t.Context())
	snapshots := make(chan []Link, 100)
	ended := make(chan error)
	ready := make(chan struct{})
	var beside atomic.Bool
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	go func() {
		// The watcher asks the namespace of its own thread.
		runtime.LockOSThread()
		if err := netns.Set(here); err != nil {
			ended <- err
			return
		}
		close(ready)
		ended <- Watch(ctx, logr.Discard(), func(l []Link, ipvs bool) {
			beside.Store(ipvs)
			snapshots <- l
		})
	}()
	<-ready

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var last []Link
	until := func(what string, is func([]Link) bool) {
		t.Helper()
		for deadline := time.After(5 * time.Second); ; {
			select {
			case last = <-snapshots:
				if is(last) {
					return
				}
			case <-deadline:
				t.Fatalf("%s: not seen, last %+v", what, last)
			}
		}
	}
	named := func(name string) func([]Link) bool {
		return func(ls []Link) bool { return slices.ContainsFunc(ls, func(l Link) bool { return l.Name == name }) }
	}
	not := func(f func([]Link) bool) func([]Link) bool { return func(ls []Link) bool { return !f(ls) } }

	until("the first snapshot comes at once", func(ls []Link) bool { return len(ls) == 0 })

	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0"}, PeerName: "far0"}
	must(netlink.LinkAdd(veth))
	far, err := netlink.LinkByName("far0")
	must(err)
	lan, err := netlink.LinkByName("lan0")
	must(err)
	must(netlink.LinkSetUp(far))
	must(netlink.LinkSetUp(lan))
	address, err := netlink.ParseAddr("192.0.2.11/24")
	must(err)
	must(netlink.AddrAdd(lan, address))
	until("it has come, with its subnet", func(ls []Link) bool {
		return slices.ContainsFunc(ls, func(l Link) bool { return l.Name == "lan0" && fmt.Sprint(l.Subnets) == "[192.0.2.0/24]" && !l.Default4 })
	})

	must(netlink.RouteAdd(&netlink.Route{LinkIndex: lan.Attrs().Index, Gw: net.IPv4(192, 0, 2, 1)}))
	until("it has the default route", func(ls []Link) bool {
		return slices.ContainsFunc(ls, func(l Link) bool { return l.Name == "lan0" && l.Default4 && !l.Default6 })
	})

	must(netlink.LinkSetDown(far))
	until("its cable is pulled", not(named("lan0")))
	must(netlink.LinkSetUp(far))
	until("and plugged in again", named("lan0"))

	other := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	must(netlink.LinkSetHardwareAddr(lan, other))
	until("its MAC changes", func(ls []Link) bool {
		return slices.ContainsFunc(ls, func(l Link) bool { return l.MAC.String() == other.String() })
	})

	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	must(netlink.LinkAdd(bridge))
	must(netlink.LinkSetMaster(lan, bridge))
	until("it joins a bridge", not(named("lan0")))
	must(netlink.LinkSetNoMaster(lan))
	until("it leaves the bridge", named("lan0"))

	must(netlink.LinkDel(lan))
	until("it is gone", not(named("lan0")))

	ipvs := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: IPVS}}
	must(netlink.LinkAdd(ipvs))
	until("kube-proxy starts in mode ipvs", func(ls []Link) bool { return beside.Load() && !named(IPVS)(ls) })
	must(netlink.LinkDel(ipvs))
	until("and in another", func([]Link) bool { return !beside.Load() })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
