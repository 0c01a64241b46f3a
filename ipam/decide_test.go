package ipam

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

var (
	v4only = []config.Family{config.IPv4}
	v6only = []config.Family{config.IPv6}
	dual   = []config.Family{config.IPv4, config.IPv6}
	off    = false
)

// pool makes an object; edit changes it.
func testPool(name string, addresses []string, edit ...func(*v1beta1.IPAddressPool)) v1beta1.IPAddressPool {
	p := v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1beta1.IPAddressPoolSpec{Addresses: addresses}}
	for _, e := range edit {
		e(&p)
	}
	return p
}

func allocation(a v1beta1.ServiceAllocation) func(*v1beta1.IPAddressPool) {
	return func(p *v1beta1.IPAddressPool) { p.Spec.ServiceAllocation = &a }
}

func onRequest(p *v1beta1.IPAddressPool)  { p.Spec.AutoAssign = &off }
func avoidBuggy(p *v1beta1.IPAddressPool) { p.Spec.AvoidBuggyIPs = true }

func snapshot(pools ...v1beta1.IPAddressPool) *config.Snapshot {
	s, _ := config.Build(config.Objects{Pools: pools})
	return s
}

func addrs(ss ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range ss {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func svc(name string) Key { return Key{Namespace: "ns", Name: name} }

func decision(as []netip.Addr, r Reason, message string) Decision {
	return Decision{Addresses: as, Reason: r, Message: message}
}

var compareAddr = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.IgnoreUnexported(Decision{}),
}

func TestDecide(t *testing.T) {
	a := testPool("a", []string{"192.0.2.1-192.0.2.2"})
	b := testPool("b", []string{"198.51.100.0/30", "2001:db8::/64"})
	cases := map[string]struct {
		reason  string
		pools   []v1beta1.IPAddressPool
		held    map[Key][]netip.Addr
		request Request
		want    Decision
	}{
		"FirstFree": {
			reason:  "addresses are given from the first on",
			pools:   []v1beta1.IPAddressPool{a},
			request: Request{Families: v4only},
			want:    decision(addrs("192.0.2.1"), Assigned, ""),
		},
		"SkipsHeld": {
			reason:  "an address has one holder",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("other"): addrs("192.0.2.1")},
			request: Request{Families: v4only},
			want:    decision(addrs("192.0.2.2"), Assigned, ""),
		},
		"Keeps": {
			reason:  "who holds an address keeps it, whichever would be chosen today",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.2")},
			request: Request{Families: v4only},
			want:    decision(addrs("192.0.2.2"), Assigned, ""),
		},
		"KeepsThoughNotAdmittedAnyMore": {
			reason:  "a pool that changes whom it admits takes nothing back",
			pools:   []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.0/24"}, onRequest, allocation(v1beta1.ServiceAllocation{Namespaces: []string{"x"}}))},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.9")},
			request: Request{Families: v4only},
			want:    decision(addrs("192.0.2.9"), Assigned, ""),
		},
		"KeepsInRefusedPool": {
			reason: "a pool that is refused for an overlap takes nothing back",
			pools: []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.0/24"}),
				testPool("b", []string{"192.0.2.128-192.0.3.10"})},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.3.5")},
			request: Request{Families: v4only},
			want:    decision(addrs("192.0.3.5"), Assigned, ""),
		},
		"KeepsInNamedPoolThatIsOverlapped": {
			reason: "a pool that grows over the one that is asked for takes nothing from it",
			pools: []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.0/24"}),
				testPool("b", []string{"192.0.2.5"})},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.5")},
			request: Request{Families: v4only, Pool: "b"},
			want:    decision(addrs("192.0.2.5"), Assigned, ""),
		},
		"DualStackFromTwoPools": {
			reason:  "the families may come from different pools",
			pools:   []v1beta1.IPAddressPool{a, b},
			request: Request{Families: dual},
			want:    decision(addrs("192.0.2.1", "2001:db8::"), Assigned, ""),
		},
		"FamilyOrder": {
			reason:  "addresses come in the order of the Service's families",
			pools:   []v1beta1.IPAddressPool{b},
			request: Request{Families: []config.Family{config.IPv6, config.IPv4}},
			want:    decision(addrs("2001:db8::", "198.51.100.0"), Assigned, ""),
		},
		"PreferDualStackTakesOne": {
			reason:  "one family is better than none unless both are required",
			pools:   []v1beta1.IPAddressPool{a},
			request: Request{Families: dual},
			want:    decision(addrs("192.0.2.1"), NoPool, "no pool offers this Service an IPv6 address: pool a has no IPv6 addresses"),
		},
		"RequireDualStackTakesNone": {
			reason:  "half of what is required is no use",
			pools:   []v1beta1.IPAddressPool{a},
			request: Request{Families: dual, RequireAll: true},
			want:    decision(nil, NoPool, "no pool offers this Service an IPv6 address: pool a has no IPv6 addresses"),
		},
		"RequireDualStackKeepsWhatItHolds": {
			reason:  "an address that is held is not lost because the other family is missing",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.2")},
			request: Request{Families: dual, RequireAll: true},
			want:    decision(addrs("192.0.2.2"), NoPool, "no pool offers this Service an IPv6 address: pool a has no IPv6 addresses"),
		},
		"Upgrade": {
			reason:  "a second family is added without touching the first",
			pools:   []v1beta1.IPAddressPool{a, b},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.2")},
			request: Request{Families: dual},
			want:    decision(addrs("192.0.2.2", "2001:db8::"), Assigned, ""),
		},
		"Downgrade": {
			reason:  "a family that the Service has no more is let go",
			pools:   []v1beta1.IPAddressPool{a, b},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.2", "2001:db8::7")},
			request: Request{Families: v6only},
			want:    decision(addrs("2001:db8::7"), Assigned, ""),
		},
		"RequestedAddress": {
			reason:  "the address that is asked for is given",
			pools:   []v1beta1.IPAddressPool{a, b},
			request: Request{Families: v4only, Addresses: addrs("198.51.100.2")},
			want:    decision(addrs("198.51.100.2"), Assigned, ""),
		},
		"RequestedAddressReplacesHeld": {
			reason:  "who asks for another address gets it",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Addresses: addrs("192.0.2.2")},
			want:    decision(addrs("192.0.2.2"), Assigned, ""),
		},
		"RequestedAddressInUse": {
			reason:  "the holder is named",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("other"): addrs("192.0.2.2")},
			request: Request{Families: v4only, Addresses: addrs("192.0.2.2")},
			want:    decision(nil, AddressInUse, "192.0.2.2 is held by ns/other, which does not share it"),
		},
		"RequestedAddressInNoPool": {
			reason:  "an address of no pool is not given",
			pools:   []v1beta1.IPAddressPool{a},
			request: Request{Families: v4only, Addresses: addrs("203.0.113.1")},
			want:    decision(nil, NotInPool, "203.0.113.1 belongs to no pool"),
		},
		"RequestedAddressInOtherPool": {
			reason:  "address and pool that are asked for must agree",
			pools:   []v1beta1.IPAddressPool{a, b},
			request: Request{Families: v4only, Addresses: addrs("192.0.2.1"), Pool: "b"},
			want:    decision(nil, NotInPool, "192.0.2.1 belongs to pool a, not to pool b that is asked for"),
		},
		"RequestedAddressOfOtherFamily": {
			reason:  "an address of a family that the Service lacks is a mistake to tell of",
			pools:   []v1beta1.IPAddressPool{b},
			request: Request{Families: v4only, Addresses: addrs("2001:db8::1")},
			want:    decision(nil, FamilyMismatch, "asks for 2001:db8::1, but the Service has no IPv6 (see spec.ipFamilies)"),
		},
		"OneRequestedOneAutomatic": {
			reason:  "the family that nothing is asked for is assigned automatically",
			pools:   []v1beta1.IPAddressPool{a, b},
			request: Request{Families: dual, Addresses: addrs("2001:db8::99")},
			want:    decision(addrs("192.0.2.1", "2001:db8::99"), Assigned, ""),
		},
		"RequestedBuggyAddress": {
			reason:  "avoidBuggyIPs holds for explicit requests too",
			pools:   []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.0/24"}, avoidBuggy)},
			request: Request{Families: v4only, Addresses: addrs("192.0.2.255")},
			want:    decision(nil, NotInPool, "pool a does not give 192.0.2.255 (avoidBuggyIPs)"),
		},
		"AvoidsBuggy": {
			reason:  ".0 is left out",
			pools:   []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.0/24"}, avoidBuggy)},
			request: Request{Families: v4only},
			want:    decision(addrs("192.0.2.1"), Assigned, ""),
		},
		"NamedPool": {
			reason:  "a pool that is not automatic is given from when it is named",
			pools:   []v1beta1.IPAddressPool{a, testPool("b", []string{"198.51.100.0/30"}, onRequest)},
			request: Request{Families: v4only, Pool: "b"},
			want:    decision(addrs("198.51.100.0"), Assigned, ""),
		},
		"NamedPoolReplacesHeld": {
			reason:  "who asks for another pool moves there",
			pools:   []v1beta1.IPAddressPool{a, b},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Pool: "b"},
			want:    decision(addrs("198.51.100.0"), Assigned, ""),
		},
		"NamedPoolUnknown": {
			reason:  "a misspelt pool is told",
			pools:   []v1beta1.IPAddressPool{a},
			request: Request{Families: v4only, Pool: "c"},
			want:    decision(nil, PoolNotFound, "no pool is called c"),
		},
		"NamedPoolDoesNotAdmit": {
			reason:  "naming a pool does not open it",
			pools:   []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.0/24"}, allocation(v1beta1.ServiceAllocation{Namespaces: []string{"x"}}))},
			request: Request{Families: v4only, Pool: "a"},
			want:    decision(nil, NotAdmitted, "pool a does not admit this Service (see its serviceAllocation)"),
		},
		"NamedPoolRefused": {
			reason:  "a refused pool gives nothing new",
			pools:   []v1beta1.IPAddressPool{a, testPool("b", []string{"192.0.2.0/30"})},
			request: Request{Families: v4only, Pool: "b"},
			want:    decision(nil, PoolRefused, "pool b is not accepted; its condition Accepted says why"),
		},
		"NamedPoolWithoutFamily": {
			reason:  "a pool without the family is told",
			pools:   []v1beta1.IPAddressPool{a},
			request: Request{Families: v6only, Pool: "a"},
			want:    decision(nil, NoPool, "pool a has no IPv6 addresses"),
		},
		"NamedPoolExhausted": {
			reason:  "a full pool is told",
			pools:   []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.1"}), b},
			held:    map[Key][]netip.Addr{svc("other"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Pool: "a"},
			want:    decision(nil, PoolExhausted, "all 1 IPv4 addresses of pool a are in use"),
		},
		"Priority": {
			reason: "lower priorities go first, unset last",
			pools: []v1beta1.IPAddressPool{a,
				testPool("b", []string{"198.51.100.0/30"}, allocation(v1beta1.ServiceAllocation{Priority: 9})),
				testPool("c", []string{"203.0.113.0/30"}, allocation(v1beta1.ServiceAllocation{Priority: 2}))},
			request: Request{Families: v4only},
			want:    decision(addrs("203.0.113.0"), Assigned, ""),
		},
		"SpillsOver": {
			reason:  "the next pool serves when the first is full",
			pools:   []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.1"}), b},
			held:    map[Key][]netip.Addr{svc("other"): addrs("192.0.2.1")},
			request: Request{Families: v4only},
			want:    decision(addrs("198.51.100.0"), Assigned, ""),
		},
		"NamespaceAndLabels": {
			reason: "both parts of serviceAllocation must admit",
			pools: []v1beta1.IPAddressPool{
				testPool("a", []string{"192.0.2.1"}, allocation(v1beta1.ServiceAllocation{Namespaces: []string{"ns"},
					ServiceSelectors: []v1beta1.LabelSelector{{MatchLabels: map[string]string{"tier": "gold"}}}})),
				testPool("b", []string{"198.51.100.1"}, allocation(v1beta1.ServiceAllocation{
					NamespaceSelectors: []v1beta1.LabelSelector{{MatchLabels: map[string]string{"team": "red"}}}}))},
			request: Request{Families: v4only, Labels: map[string]string{"tier": "silver"}, NamespaceLabels: map[string]string{"team": "red"}},
			want:    decision(addrs("198.51.100.1"), Assigned, ""),
		},
		"NoPools": {
			reason:  "the first thing a new user meets",
			request: Request{Families: v4only},
			want:    decision(nil, NoPool, "there is no IPAddressPool"),
		},
		"NothingOffered": {
			reason: "every pool is told of, with why not",
			pools: []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.1"}, onRequest),
				testPool("b", []string{"198.51.100.1"}, allocation(v1beta1.ServiceAllocation{Namespaces: []string{"x"}}))},
			request: Request{Families: v4only},
			want: decision(nil, NoPool, "no pool offers this Service an IPv4 address: "+
				"pool a is only for Services that ask for it (autoAssign: false), pool b does not admit this Service"),
		},
		"Exhausted": {
			reason:  "full pools are named",
			pools:   []v1beta1.IPAddressPool{testPool("a", []string{"192.0.2.1"})},
			held:    map[Key][]netip.Addr{svc("other"): addrs("192.0.2.1")},
			request: Request{Families: v4only},
			want:    decision(nil, PoolExhausted, "all IPv4 addresses that this Service may have are in use (pool a)"),
		},
		"InvalidKeeps": {
			reason:  "a request that cannot be read costs nothing that is held",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.2")},
			request: Request{Families: v4only, Invalid: "annotation x: y"},
			want:    decision(addrs("192.0.2.2"), InvalidRequest, "annotation x: y"),
		},
		"InvalidPoolGone": {
			reason:  "even if no pool has it any more: what it asks for is not known",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("203.0.113.1")},
			request: Request{Families: v4only, Invalid: "annotation x: y"},
			want:    decision(addrs("203.0.113.1"), InvalidRequest, "annotation x: y"),
		},
		"PoolGone": {
			reason:  "a pool that is deleted may be made again in a moment",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("203.0.113.1")},
			request: Request{Families: v4only},
			want: Decision{Addresses: addrs("203.0.113.1"), Reason: NoPool, Retry: PoolGrace,
				Message: "203.0.113.1 belongs to no pool any more; another takes its place in 30s unless a pool has it again by then"},
		},
		"PoolEdited": {
			reason:  "an address that a pool has given up is exchanged at once",
			pools:   []v1beta1.IPAddressPool{a, testPool("all", []string{"198.51.100.0/30"})},
			held:    map[Key][]netip.Addr{svc("web"): addrs("203.0.113.1")},
			request: Request{Families: v4only, Pool: "all"},
			want:    decision(addrs("198.51.100.0"), Assigned, ""),
		},
		"PoolEditedNoOther": {
			reason:  "an address of no pool is better than none",
			pools:   []v1beta1.IPAddressPool{testPool("all", []string{"198.51.100.0"})},
			held:    map[Key][]netip.Addr{svc("web"): addrs("203.0.113.1"), svc("other"): addrs("198.51.100.0")},
			request: Request{Families: v4only},
			want: decision(addrs("203.0.113.1"), PoolExhausted, "203.0.113.1 belongs to no pool any more, and there is no other to give: "+
				"all IPv4 addresses that this Service may have are in use (pool all)"),
		},
		"WantsWhatIsInUse": {
			reason:  "a request that cannot be had costs nothing",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1"), svc("other"): addrs("192.0.2.2")},
			request: Request{Families: v4only, Addresses: addrs("192.0.2.2")},
			want:    decision(addrs("192.0.2.1"), AddressInUse, "192.0.2.2 is held by ns/other, which does not share it"),
		},
		"WantsWhatNoPoolHas": {
			reason:  "nor does one for an address of no pool",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Addresses: addrs("203.0.113.1")},
			want:    decision(addrs("192.0.2.1"), NotInPool, "203.0.113.1 belongs to no pool"),
		},
		"WantsUnknownPool": {
			reason:  "a misspelt pool costs nothing",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Pool: "c"},
			want:    decision(addrs("192.0.2.1"), PoolNotFound, "no pool is called c"),
		},
		"WantsFullPool": {
			reason:  "a full pool costs nothing",
			pools:   []v1beta1.IPAddressPool{a, testPool("c", []string{"203.0.113.1"})},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1"), svc("other"): addrs("203.0.113.1")},
			request: Request{Families: v4only, Pool: "c"},
			want:    decision(addrs("192.0.2.1"), PoolExhausted, "all 1 IPv4 addresses of pool c are in use"),
		},
		"WantsPoolThatDoesNotAdmit": {
			reason: "nor does a pool that does not admit the Service",
			pools: []v1beta1.IPAddressPool{a,
				testPool("c", []string{"203.0.113.0/24"}, allocation(v1beta1.ServiceAllocation{Namespaces: []string{"x"}}))},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Pool: "c"},
			want:    decision(addrs("192.0.2.1"), NotAdmitted, "pool c does not admit this Service (see its serviceAllocation)"),
		},
		"WantsUnknownClaim": {
			reason:  "nor a claim that does not exist",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Terms: Terms{Claim: "front"}},
			want:    decision(addrs("192.0.2.1"), ClaimNotFound, "no IPClaim is called front in namespace ns"),
		},
		"WantsClaimOfOthers": {
			reason:  "nor a claim whose address somebody else has who does not share it",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1"), {"ns", "front", Claim}: addrs("192.0.2.2")},
			request: Request{Families: v4only, Terms: Terms{Claim: "front"}},
			want:    decision(addrs("192.0.2.2"), Assigned, ""),
		},
		"WrongFamilyBeside": {
			reason:  "an address of a family that it lacks makes the whole request unreadable, which costs nothing",
			pools:   []v1beta1.IPAddressPool{a},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Addresses: addrs("192.0.2.2", "2001:db8::1")},
			want:    decision(addrs("192.0.2.1"), FamilyMismatch, "asks for 2001:db8::1, but the Service has no IPv6 (see spec.ipFamilies)"),
		},
		"PriorRequest": {
			reason:  "what was asked for under another implementation moves nothing",
			pools:   []v1beta1.IPAddressPool{a, b},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: v4only, Addresses: addrs("192.0.2.2"), Pool: "b", Prior: true},
			want:    decision(addrs("192.0.2.1"), Assigned, ""),
		},
		"PriorRequestForMore": {
			reason:  "but it counts where there is an address to choose",
			pools:   []v1beta1.IPAddressPool{a, b},
			held:    map[Key][]netip.Addr{svc("web"): addrs("192.0.2.1")},
			request: Request{Families: dual, Addresses: addrs("192.0.2.2", "2001:db8::5"), Prior: true},
			want:    decision(addrs("192.0.2.1", "2001:db8::5"), Assigned, ""),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			// What is held was assigned under pools that allowed everything.
			st := New(snapshot(testPool("all", []string{"192.0.0.0/8", "198.0.0.0/8", "203.0.0.0/8", "2001::/16"})))
			for k, as := range tc.held {
				st.Adopt(Request{Key: k, Shown: as, Marked: true})
			}
			st.Reconfigure(snapshot(tc.pools...))
			tc.request.Key = svc("web")
			got := Decide(st, tc.request)
			if diff := cmp.Diff(tc.want, got, compareAddr, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Decision{}, "Lost")); diff != "" {
				t.Errorf("\n%s\nDecide(…): -want, +got:\n%s", tc.reason, diff)
			}
			if again := Decide(st, tc.request); !cmp.Equal(got, again, compareAddr) {
				t.Errorf("deciding changed the state: %v, then %v", got, again)
			}
		})
	}
}

func TestReuseOrder(t *testing.T) {
	st := New(snapshot(testPool("a", []string{"192.0.2.1-192.0.2.3"})))
	give := func(name string) string {
		d := st.Settle(Request{Key: svc(name), Families: v4only})
		if len(d.Addresses) == 0 {
			return string(d.Reason)
		}
		return d.Addresses[0].String()
	}
	var got []string
	got = append(got, give("a"), give("b"))
	st.Release(svc("a"))
	got = append(got, give("c")) // .3 was never used
	st.Release(svc("b"))
	got = append(got, give("d"), give("e"), give("f")) // .1 was released before .2
	want := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.2", "PoolExhausted"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("never-used addresses first, then the longest released: -want, +got:\n%s", diff)
	}
}

func TestUsage(t *testing.T) {
	st := New(snapshot(testPool("a", []string{"192.0.2.0/24", "2001:db8::/32"}, avoidBuggy)))
	st.Adopt(Request{Key: svc("x"), Shown: addrs("192.0.2.7", "2001:db8::1"), Marked: true})
	got := []Usage{st.Usage("a", config.IPv4), st.Usage("a", config.IPv6), st.Usage("b", config.IPv4)}
	want := []Usage{{Total: 254, Assigned: 1, Available: 253}, {Total: 1<<63 - 1, Assigned: 1, Available: 1<<63 - 2}, {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

func TestUsageText(t *testing.T) {
	for want, u := range map[string]Usage{"": {}, "0/254": {Total: 254}, "37/254": {Total: 254, Assigned: 37}, "3": {Total: 1 << 40, Assigned: 3}, "1/0": {Assigned: 1}} {
		if got := u.String(); got != want {
			t.Errorf("%+v: %q, want %q", u, got, want)
		}
	}
}
