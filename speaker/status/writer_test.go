package status

import (
	"net/netip"
	"testing"

	"github.com/go-logr/logr"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// What another speaker has written is not written over at once: each would write as soon as the other has.
func TestDisagree(t *testing.T) {
	w := NewWriter(nil, nil, "node-1", logr.Discard())
	defer w.queue.ShutDown()
	k := announce.Key{Namespace: "default", Name: "web"}
	vip := netip.MustParseAddr("192.0.2.7")
	set := func(link, recorded string) (queued int) {
		of := []announce.Announcement{{Service: k, Address: vip, Node: "node-1", Links: []string{link}, Reason: announce.Announced}}
		r := subject{of: of}.report()
		c := r.condition(1)
		w.Set([]Update{{Service: k, Of: of, Announced: &c, Record: map[netip.Addr][]string{vip: {recorded}}, InUse: []netip.Addr{vip}}}, nil)
		for ; w.queue.Len() > 0; queued++ {
			k, _ := w.queue.Get()
			w.queue.Done(k)
		}
		return queued
	}
	for _, c := range []struct {
		reason, link, recorded string
		want                   int
	}{
		{"it is news", "eth0", "node-2", 1},
		{"it is written", "eth0", "node-1", 0},
		{"another has written over it", "eth0", "node-2", 0},
		{"other news", "eth1", "node-2", 1},
	} {
		if got := set(c.link, c.recorded); got != c.want {
			t.Errorf("%s: written %d times at once, want %d", c.reason, got, c.want)
		}
	}
}
