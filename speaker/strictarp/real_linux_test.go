package strictarp

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/fairlead-lb/fairlead/speaker/link"
)

// TestReal looks at the settings of a real network namespace as kube-proxy starts in it.
func TestReal(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("makes a network namespace: needs root")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and the namespace with it
	here, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// inside runs f as this test's thread runs.
	inside := func(f func(context.Context) error) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			err := netns.Set(here)
			if err == nil {
				err = f(ctx)
			}
			if err != nil {
				t.Error(err)
			}
		}()
		t.Cleanup(func() { stop(); <-done })
	}
	changed := make(chan struct{}, 100)
	w := New(os.DirFS(Root), logr.Discard(), func() { changed <- struct{}{} })
	inside(w.Run)
	inside(func(ctx context.Context) error {
		return link.Watch(ctx, logr.Discard(), func(links []link.Link, ipvs bool) {
			d := Desired{IPVS: ipvs}
			for _, l := range links {
				d.Links = append(d.Links, l.Name)
			}
			w.Set(d)
		})
	})
	until := func(reason string, want Observed) {
		t.Helper()
		for deadline := time.After(5 * time.Second); w.Observed() == nil || !w.Observed().equal(&want); {
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("%s: -want, +got:\n%s", reason, cmp.Diff(&want, w.Observed()))
			}
		}
	}
	add := func(l netlink.Link) { t.Helper(); must(netlink.LinkAdd(l)) }
	up := func(name string) {
		t.Helper()
		l, err := netlink.LinkByName(name)
		must(err)
		must(netlink.LinkSetUp(l))
	}
	sysctl := func(name, value string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(Root, name), []byte(value), 0o644); err != nil {
			t.Skipf("cannot set a sysctl: %v", err)
		}
	}

	sysctl("all/arp_ignore", "0") // a new namespace may have those of the machine
	sysctl("all/arp_announce", "0")
	sysctl("default/arp_ignore", "0")
	sysctl("default/arp_announce", "0")
	until("kube-proxy is in another mode", Observed{})
	add(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0.7"}, PeerName: "far0"})
	up("eth0.7")
	up("far0")
	lan, err := netlink.LinkByName("eth0.7")
	must(err)
	address, err := netlink.ParseAddr("192.0.2.11/24")
	must(err)
	must(netlink.AddrAdd(lan, address))
	ipvs := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: link.IPVS}} // as a dummy: never up
	add(ipvs)
	until("it starts in mode ipvs", Observed{IPVS: true, Lenient: []string{"eth0.7"}})
	must(netlink.LinkDel(ipvs))
	until("and in another", Observed{})
	sysctl("all/arp_ignore", "1")
	sysctl("all/arp_announce", "2")
	add(ipvs)
	until("and in mode ipvs with strictARP", Observed{IPVS: true})
}
