package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// keeper is what a node knows of one address, which has been announced by layer 2.
type keeper struct {
	*keeping
	w     *world
	nodes []announce.Node
	addr  netip.Addr
	// record is what is recorded when the speaker starts.
	record []string
}

// newKeeper returns that of a node among some, which have the addresses 192.0.2.1, .2, … and 2001:db8::1, and so on.
func newKeeper(self string, names ...string) *keeper {
	k := &keeper{keeping: &newPlan(self, 0, time.Hour, false).keeping, w: newWorld(self), addr: netip.MustParseAddr("192.0.2.100")}
	k.w.links = []link.Link{{Name: "eth0", Subnets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}}}
	for i, n := range names {
		k.w.nodes[n] = kube.Node{Name: n, Addresses: []netip.Addr{
			netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1)),
		}}
		k.nodes = append(k.nodes, announce.Node{Name: n, Presence: announce.Alive})
	}
	return k
}

// by has it decided that these nodes carry the address.
func (k *keeper) by(now time.Time, carriers ...string) {
	var of []announce.Announcement
	var sharers []*announce.Service
	for i, n := range carriers { // as if each were another Service's: what matters is who carries
		of = append(of, announce.Announcement{Address: k.addr, Node: n})
		sharers = append(sharers, &announce.Service{Key: announce.Key{Name: fmt.Sprint(i)}, Record: map[netip.Addr][]string{k.addr: k.record}})
	}
	k.decide(k.w, k.nodes, k.addr, of, sharers, now)
}

func (k *keeper) presence(node string, p announce.Presence) { byName(k.nodes, node).Presence = p }

func TestKeeping(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	end := at.Add(time.Hour)
	const first, second, third, none = "192.0.2.1", "192.0.2.2", "192.0.2.3", ""
	for name, tc := range map[string]struct {
		reason string
		do     func(k *keeper)
		to     string
		until  time.Time
	}{
		"Start":     {"who starts knows of no connection elsewhere", func(k *keeper) { k.by(at, "node-2") }, none, time.Time{}},
		"Recorded":  {"but of those of the node that is recorded", func(k *keeper) { k.record = []string{"node-1"}; k.by(at, "node-2") }, first, end},
		"Own":       {"which may be itself", func(k *keeper) { k.record = []string{"node-2"}; k.by(at, "node-2") }, none, time.Time{}},
		"Here":      {"the address moved here", func(k *keeper) { k.by(at, "node-1"); k.by(at, "node-2") }, first, end},
		"Away":      {"or from here: a client may be late", func(k *keeper) { k.by(at, "node-2"); k.by(at, "node-3") }, third, end},
		"Elsewhere": {"between others", func(k *keeper) { k.by(at, "node-1"); k.by(at, "node-3") }, none, time.Time{}},
		"Twice":     {"around all that had it", func(k *keeper) { k.by(at, "node-1"); k.by(at, "node-3"); k.by(at, "node-2") }, third, end},
		"Back":      {"and came back", func(k *keeper) { k.by(at, "node-2"); k.by(at, "node-3"); k.by(at.Add(time.Minute), "node-2") }, third, end.Add(time.Minute)},
		"Gone":      {"a node that is gone knows nothing", func(k *keeper) { k.by(at, "node-1"); k.presence("node-1", announce.Gone); k.by(at, "node-2") }, none, time.Time{}},
		"GoneLater": {"also later", func(k *keeper) {
			k.by(at, "node-1")
			k.by(at, "node-2")
			k.presence("node-1", announce.Gone)
			k.by(at, "node-2")
		}, none, time.Time{}},
		"GoneBack": {"who comes back may have restarted", func(k *keeper) {
			k.by(at, "node-1")
			k.by(at, "node-2")
			k.presence("node-1", announce.Gone)
			k.by(at, "node-2")
			k.presence("node-1", announce.Alive)
			k.by(at, "node-2")
		}, none, time.Time{}},
		"Speakerless": {"the kernel goes on without a speaker", func(k *keeper) { k.by(at, "node-1"); k.presence("node-1", announce.Away); k.by(at, "node-2") }, first, end},
		"Expired":     {"in time it is over", func(k *keeper) { k.by(at, "node-1"); k.by(at, "node-2"); k.expire(end) }, none, time.Time{}},
		"NotYet":      {"and not before", func(k *keeper) { k.by(at, "node-1"); k.by(at, "node-2"); k.expire(end.Add(-1)) }, first, end},
		"Many":        {"several announce: as long as they do", func(k *keeper) { k.by(at, "node-1", "node-2", "node-3"); k.expire(end) }, third, time.Time{}},
		"Last":        {"the last goes to the first", func(k *keeper) { k.by(at, "node-1", "node-2") }, first, time.Time{}},
		"Nobody":      {"without endpoints nobody announces", func(k *keeper) { k.by(at, "node-1"); k.by(at, "node-2"); k.by(at, "") }, first, end},
		"Deleted":     {"the Service is gone", func(k *keeper) { k.by(at, "node-1"); k.by(at, "node-2"); k.by(at) }, none, time.Time{}},
		"Routed":      {"a router is between the nodes", func(k *keeper) { k.w.links[0].Subnets = nil; k.by(at, "node-1"); k.by(at, "node-2") }, none, time.Time{}},
		"NoIPv4": {"the node has no address of the family", func(k *keeper) {
			k.w.nodes["node-1"] = kube.Node{Name: "node-1", Addresses: k.w.nodes["node-1"].Addresses[1:]}
			k.by(at, "node-1")
			k.by(at, "node-2")
		}, none, time.Time{}},
		"IPv6": {"each family its own", func(k *keeper) { k.addr = netip.MustParseAddr("2001:db8::100"); k.by(at, "node-1"); k.by(at, "node-2") }, "2001:db8::1", end},
		"IPVS": {"conntrack may not know what ipvs does", func(k *keeper) { k.w.ipvs = true; k.by(at, "node-1"); k.by(at, "node-2") }, none, time.Time{}},
		"Off":  {"nothing is kept", func(k *keeper) { k.long = 0; k.by(at, "node-1"); k.by(at, "node-2") }, none, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper("node-2", "node-1", "node-2", "node-3")
			tc.do(k)
			var want []announce.Pass
			if tc.to != none {
				want = []announce.Pass{{Addr: k.addr, To: netip.MustParseAddr(tc.to), Until: tc.until}}
			}
			got := announce.Passing{}
			if p := k.passing(); p != nil {
				got = *p
			}
			if !slices.Equal(got.Passes, want) {
				t.Errorf("%s: %v, want %v", tc.reason, got, want)
			}
			if again := k.passing(); again != k.passing() {
				t.Error("nothing has changed, and it is another")
			}
			if next := k.lapse(); !next.Equal(tc.until) {
				t.Errorf("%s: it lapses at %s, want %s", tc.reason, next, tc.until)
			}
		})
	}
}

// TestPing: a node answers for what traffic comes in for by it.
func TestPing(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	k := newKeeper("node-2", "node-1", "node-2")
	k.long, k.ping = 0, true
	for i, step := range []struct {
		do   func()
		want bool
	}{
		{func() { k.by(at, "node-1") }, false},
		{func() { k.by(at, "node-2") }, true},
		{func() { k.by(at, "node-1", "node-2") }, true},
		{func() { k.w.ipvs = true; k.by(at, "node-2") }, false},
		{func() { k.w.ipvs = false; k.by(at, "node-2") }, true},
		{func() { k.by(at, "node-1") }, false},
		{func() { k.by(at, "node-2") }, true},
		{func() { k.by(at) }, false},
	} {
		step.do()
		got := k.passing()
		if answers := slices.Contains(got.Own, k.addr); answers != step.want || len(got.Passes) > 0 {
			t.Errorf("step %d: %+v, want it answered: %t", i, got, step.want)
		}
	}
}

// TestAggregates: a node knows which aggregates it announces.
func TestAggregates(t *testing.T) {
	k := newKeeper("node-1", "node-1")
	route := func(prefix string, peers ...announce.PeerRoute) announce.Route {
		return announce.Route{Prefix: netip.MustParsePrefix(prefix), Peers: peers}
	}
	peer := announce.PeerRoute{Peer: "router"}
	for i, step := range []struct {
		routes []announce.Route
		want   []netip.Prefix
	}{
		{nil, nil},
		{[]announce.Route{route("198.51.100.0/28", peer), route("198.51.100.1/32", peer)}, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}},
		{[]announce.Route{route("2001:db8:1::1/128", peer)}, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}},
		{[]announce.Route{route("198.51.100.0/28"), route("2001:db8:1::/124", peer)}, []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/124")}},
		{[]announce.Route{route("2001:db8:1::/124")}, nil},
	} {
		k.announce(step.routes)
		if got := k.passing().Aggregates; !slices.Equal(got, step.want) {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

// TestRings has an address move between nodes at random, some of which fail. A packet that comes in by any node that
// carries the address must find the node that knows its connection, within the hops that are allowed.
func TestRings(t *testing.T) {
	names := []string{"node-1", "node-2", "node-3", "node-4", "node-5"}
	rapid.Check(t, func(t *rapid.T) {
		all, now := map[string]*keeper{}, time.Unix(1_000_000, 0)
		for _, n := range names {
			all[n] = newKeeper(n, names...)
		}
		// known says until when a node has to be asked about connections; of those that carry the address there is no end.
		known, carriers, gone := map[string]time.Time{}, []string(nil), map[string]bool{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			for _, k := range all {
				k.expire(now)
			}
			node := rapid.SampledFrom(names).Draw(t, "node")
			if rapid.IntRange(0, 7).Draw(t, "fails") == 0 {
				gone[node] = true
				for _, k := range all {
					k.presence(node, announce.Gone)
				}
			}
			for _, n := range carriers {
				known[n] = now.Add(time.Hour)
			}
			carriers = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return gone[n] || rapid.IntRange(0, 2).Draw(t, "carries") > 0 })
			if len(carriers) == 0 {
				carriers = []string{""}
			}
			for _, n := range names {
				if !gone[n] {
					all[n].by(now, carriers...)
				}
			}
			for n, until := range known {
				if n == "" || !until.After(now) && !slices.Contains(carriers, n) || gone[n] {
					continue
				}
				for _, entry := range carriers {
					if entry == "" {
						continue
					}
					ttl := len(names) // as the kernel lowers it
					for at := entry; at != n; ttl-- {
						next := all[at].passing()
						if ttl = min(ttl, next.Hops); ttl == 0 {
							t.Fatalf("a packet for a connection of %s that came in by %s ends at %s; %v carry the address, gone are %v", n, entry, at, carriers, gone)
						}
						at = names[next.Passes[0].To.As4()[3]-1]
					}
				}
			}
		}
	})
}
