package kube

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestAnnouncers(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	cases := map[string]struct {
		reason, text string
		want         map[netip.Addr][]string
		back         string
	}{
		"None":     {"nothing recorded", "", nil, ""},
		"One":      {"one address, alone", "192.0.2.7=node-1", map[netip.Addr][]string{four: {"node-1"}}, "192.0.2.7=node-1"},
		"Two":      {"two addresses, in order", "2001:db8::7=a; 192.0.2.7=a,b", map[netip.Addr][]string{four: {"a", "b"}, six: {"a"}}, "192.0.2.7=a,b; 2001:db8::7=a"},
		"ByHand":   {"what a user writes is understood", " 192.0.2.7=b , c ;", map[netip.Addr][]string{four: {"b", "c"}}, "192.0.2.7=b,c"},
		"Long":     {"what is too long to be ours is not read", "192.0.2.7=a," + strings.Repeat("n", maxAnnouncers), nil, ""},
		"Many":     {"of many nodes the first count", "192.0.2.7=a,b,c,d,e,f", map[netip.Addr][]string{four: {"a", "b", "c", "d"}}, "192.0.2.7=a,b,c,d"},
		"Nonsense": {"the rest is left out", "x=a;192.0.2.7;192.0.2.8=;fe80::1%eth0=a", nil, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Announcers(tc.text)
			if diff := cmp.Diff(tc.want, got, compareAddrs); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
			if back := AnnouncersText(got); back != tc.back {
				t.Errorf("%s: written %q, want %q", tc.reason, back, tc.back)
			}
		})
	}
}

func FuzzAnnouncers(f *testing.F) {
	f.Add("192.0.2.7=node-1,node-2; 2001:db8::7=node-2") // as it is written
	f.Add(";;=,=")                                       // nothing in it
	f.Fuzz(func(t *testing.T, text string) {
		got := Announcers(text)
		if again := Announcers(AnnouncersText(got)); !cmp.Equal(got, again, compareAddrs) {
			t.Fatalf("%q: %v, then %v", text, got, again)
		}
	})
}

func TestInUse(t *testing.T) {
	shown := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
	for text, want := range map[string][]netip.Addr{
		"": nil, "192.0.2.7": shown[:1], "192.0.2.7,2001:db8::7": shown, "192.0.2.70,x,": nil, strings.Repeat(",", 1<<18) + "192.0.2.7": nil,
	} {
		got := InUse(text, shown)
		if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
			t.Errorf("%.40q: -want, +got:\n%s", text, diff)
		}
		if again := InUse(InUseText(got), shown); !cmp.Equal(got, again, compareAddrs) {
			t.Errorf("%.40q: written and read again %v", text, again)
		}
	}
}
