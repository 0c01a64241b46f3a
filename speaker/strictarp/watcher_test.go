package strictarp

import (
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

// sysctls are settings that change, and that count how often they are looked at.
type sysctls struct {
	atomic.Pointer[fstest.MapFS]
	looks atomic.Int32
}

func (s *sysctls) Open(name string) (fs.File, error) {
	if name == "all/arp_ignore" {
		s.looks.Add(1)
	}
	return s.Load().Open(name)
}

func (s *sysctls) set(all ...fstest.MapFS) {
	f := join(all...)
	s.Store(&f)
}

func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var root sysctls
		changes := 0
		w := New(&root, logr.Discard(), func() { changes++ })
		go w.Run(t.Context())
		root.set(files("all", "0", "0"), files("eth0", "0", "0"), files("eth1", "1", "2"))
		step := func(reason string, want *Observed, looks int32, wantChanges int) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, w.Observed()); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", reason, diff)
			}
			if got := root.looks.Swap(0); got != looks || changes != wantChanges {
				t.Errorf("%s: %d looks, want %d, and %d changes, want %d", reason, got, looks, changes, wantChanges)
			}
			changes = 0
		}
		step("nothing is known before it is said where to look", nil, 0, 0)
		w.Set(Desired{Links: []string{"eth0"}})
		step("where kube-proxy is in another mode nothing is read", &Observed{}, 0, 1)
		time.Sleep(10 * interval)
		step("nor later", &Observed{}, 0, 0)
		w.Set(Desired{IPVS: true, Links: []string{"eth0"}})
		lenient := &Observed{IPVS: true, Lenient: []string{"eth0"}}
		step("its interface is there", lenient, 1, 1)
		w.Set(Desired{IPVS: true, Links: []string{"eth0"}})
		step("nothing has changed", lenient, 0, 0)
		w.Set(Desired{IPVS: true, Links: []string{"eth0", "eth1"}})
		step("an interface more", lenient, 1, 0)
		time.Sleep(3 * interval)
		step("sysctls are looked at every minute", lenient, 3, 0)
		root.set()
		time.Sleep(interval)
		step("what cannot be read changes nothing", lenient, 1, 0)
		root.set(files("all", "1", "2"), files("eth0", "0", "0"), files("eth1", "1", "2"))
		time.Sleep(interval)
		step("kube-proxy was configured", &Observed{IPVS: true}, 1, 1)
		w.Set(Desired{Links: []string{"eth0", "eth1"}})
		step("its interface has gone", &Observed{}, 0, 1)
		time.Sleep(10 * interval)
		step("and nothing is looked at any more", &Observed{}, 0, 0)
	})
}
