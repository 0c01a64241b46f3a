package ipam

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

func Example() {
	st := New(snapshot(testPool("main", []string{"192.0.2.10-192.0.2.11"})))
	for _, name := range []string{"web", "mail", "dns"} {
		d := st.Settle(Request{Key: svc(name), Families: v4only})
		fmt.Println(strings.TrimSpace(fmt.Sprintf("%s %v %s: %s", name, d.Addresses, d.Reason, d.Message)))
	}
	// Output:
	// web [192.0.2.10] Assigned:
	// mail [192.0.2.11] Assigned:
	// dns [] PoolExhausted: all IPv4 addresses that this Service may have are in use (pool main)
}

// BenchmarkFill gives out a whole /16, one address at a time.
func BenchmarkFill(b *testing.B) {
	s := snapshot(testPool("main", []string{"10.0.0.0/16"}))
	keys := serviceKeys(1 << 16)
	b.ReportAllocs()
	for b.Loop() {
		st := New(s)
		for _, k := range keys {
			if d := st.Settle(Request{Key: k, Families: v4only}); d.Reason != Assigned {
				b.Fatal(d)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/address")
}

func serviceKeys(n int) []Key {
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = Key{Namespace: "ns", Name: fmt.Sprintf("service-%d", i)}
	}
	return keys
}

// BenchmarkChurn assigns and releases one address while others are in use, in pools of
// several sizes, and among many pools of which all others are full.
func BenchmarkChurn(b *testing.B) {
	for _, tc := range []struct {
		prefix      string
		used, pools int
	}{
		{"10.0.0.0/28", 10, 1}, {"10.0.0.0/16", 10, 1}, {"10.0.0.0/16", 60000, 1},
		{"10.0.0.0/8", 10, 1}, {"10.0.0.0/8", 60000, 1}, {"2001:db8::/64", 10, 1}, {"2001:db8::/64", 60000, 1},
		{"10.0.0.0/16", 60000, 1000},
	} {
		b.Run(fmt.Sprintf("%s/used=%d/pools=%d", tc.prefix, tc.used, tc.pools), func(b *testing.B) {
			pools := []v1beta1.IPAddressPool{testPool("zzz", []string{tc.prefix})}
			for i := 1; i < tc.pools; i++ {
				pools = append(pools, testPool(fmt.Sprintf("pool-%03d", i), []string{fmt.Sprintf("172.16.%d.%d", i/256, i%256)}))
			}
			st := New(snapshot(pools...))
			families := []config.Family{config.FamilyOf(netip.MustParsePrefix(tc.prefix).Addr())}
			for _, k := range serviceKeys(tc.used + tc.pools - 1) {
				st.Settle(Request{Key: k, Families: families})
			}
			b.ReportAllocs()
			for b.Loop() {
				r := Request{Key: svc("one"), Families: families}
				if d := st.Settle(r); d.Reason != Assigned {
					b.Fatal(d)
				}
				st.Release(r.Key)
			}
		})
	}
}

// BenchmarkGone releases one address of a full pool while others wait for one, who
// may not have it, or may.
func BenchmarkGone(b *testing.B) {
	for _, waiting := range []int{100, 10000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			st := New(snapshot(testPool("main", []string{"10.0.0.0/16"})))
			keys := serviceKeys(1<<16 + waiting)
			for i, k := range keys {
				st.Settle(Request{Key: k, Families: v4only, Terms: Terms{Created: time.Unix(int64(i), 0)}})
			}
			next := len(keys)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				st.Release(keys[i%len(keys)])
				k := Key{Namespace: "ns", Name: keys[i%len(keys)].Name}
				st.Settle(Request{Key: k, Families: v4only, Terms: Terms{Created: time.Unix(int64(next+i), 0)}})
				st.Others()
			}
		})
	}
}
