//go:build linux

package envtest

import (
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// An address goes from a Service that asks for another to one that waits, again
// and again: the second must not show it before the first has ceased to.
func TestHandOver(t *testing.T) {
	s := newStage(t)
	for _, do := range []step{
		started(), pool("a", "192.0.2.1"), pool("b", "198.51.100.1", onlyOnRequest),
		service("one", fromPool("a")), has("one", "192.0.2.1"),
	} {
		do(s)
	}
	w := watch(s)
	shows := func(name, ip string) {
		s.Helper()
		s.within(patience, name+" shows "+ip, func() error {
			if shownOf(s.get(name), v4) != ip {
				return errNotYet
			}
			return nil
		})
	}
	const rounds = 20
	w.touch(keyOf(s, "one"))
	for range rounds {
		service("two")(s)
		s.ask()
		edit("one", fromPool("b"))(s)
		shows("one", "198.51.100.1")
		shows("two", "192.0.2.1")
		remove("two")(s)
		edit("one", fromPool("a"))(s)
		shows("one", "192.0.2.1")
	}
	// The watch may be behind what was asked of the API server.
	for before := -1; before != w.events(); time.Sleep(300 * time.Millisecond) {
		before = w.events()
	}
	if faults := w.rest(); len(faults) > 0 {
		t.Errorf("in %d rounds: %v\n%s", rounds, faults, w.story(8*rounds))
	}
}

// The condition of a pool follows each edit, also while its counts are written.
func TestConditionFollows(t *testing.T) {
	s := newStage(t)
	started()(s)
	for range 15 {
		pool("a", "192.0.2.1-192.0.2.9")(s)
		for n := int32(1); n <= 3; n++ {
			editPool("a", func(p *v1beta1.IPAddressPool) {
				p.Spec.Addresses = []string{[]string{"192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/30"}[n-1]}
			})(s)
			s.ask()
		}
		poolIs("a", "Accepted")(s)
		removePool("a")(s)
		if t.Failed() {
			return
		}
	}
}
