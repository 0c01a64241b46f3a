package status

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

var (
	web  = announce.Key{Namespace: "ns", Name: "web"}
	four = netip.MustParseAddr("192.0.2.7")
	six  = netip.MustParseAddr("2001:db8::7")
)

func by4(node string) announce.Announcement {
	return announce.Announcement{Service: web, Address: four, Node: node, Links: []string{"eth0", "eth1"}, Reason: announce.Announced}
}

func by6(node string) announce.Announcement {
	return announce.Announcement{Service: web, Address: six, Node: node, Links: []string{"eth0"}, Reason: announce.Announced}
}

func nobody(r announce.Reason, why string) announce.Announcement {
	return announce.Announcement{Service: web, Address: four, Reason: r, Message: why}
}

func recorded(pairs ...any) map[netip.Addr][]string {
	out := map[netip.Addr][]string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(netip.Addr)] = []string{pairs[i+1].(string)}
	}
	return out
}

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestReports(t *testing.T) {
	healthy := func(names ...string) []announce.Node {
		out := []announce.Node{{Name: "a", Ready: true}, {Name: "b", SpeakerReady: true}}
		for _, n := range names {
			out = append(out, announce.Node{Name: n, Ready: true, SpeakerReady: true})
		}
		return out
	}
	cases := map[string]struct {
		reason string
		plan   []announce.Announcement
		nodes  []announce.Node
		who    string
		want   Report
	}{
		"Announcer": {
			"who announces reports", []announce.Announcement{by4("c")}, healthy("c", "d"), "c",
			Report{subject{}, web, metav1.ConditionTrue, "Announced", "192.0.2.7 by node c on eth0, eth1 (layer 2)", recorded(four, "c")},
		},
		"FirstOfTwo": {
			"of two announcers that of the first address", []announce.Announcement{by4("d"), by6("c")}, healthy("c", "d"), "d",
			Report{subject{}, web, metav1.ConditionTrue, "Announced", "192.0.2.7 by node d on eth0, eth1 (layer 2); 2001:db8::7 by node c on eth0 (layer 2)", recorded(four, "d", six, "c")},
		},
		"HalfAnnounced": {
			"an address that nobody announces makes the condition false", []announce.Announcement{nobody(announce.NoNode, "no node is known"), by6("d")},
			healthy("c", "d"), "d",
			Report{subject{}, web, metav1.ConditionFalse, "NoNode", "192.0.2.7 by nobody: no node is known; 2001:db8::7 by node d on eth0 (layer 2)", recorded(six, "d")},
		},
		"Nobody": {
			"where nobody announces, the first healthy node reports", []announce.Announcement{nobody(announce.NoEndpoints, "no pods")}, healthy("c", "d"), "c",
			Report{subject{}, web, metav1.ConditionFalse, "NoEndpoints", "192.0.2.7 by nobody: no pods", recorded()},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, n := range tc.nodes {
				ok := isReporter(tc.plan, tc.nodes, n.Name)
				if ok != (n.Name == tc.who) {
					t.Errorf("%s: %s reports: %t", tc.reason, n.Name, ok)
				}
				if !ok {
					continue
				}
				got := subject{of: tc.plan}.report()
				if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreUnexported(Report{}), compareAddrs); diff != "" {
					t.Errorf("\n%s\nreport of %s: -want, +got:\n%s", tc.reason, n.Name, diff)
				}
			}
		})
	}
}

func TestTransition(t *testing.T) {
	was := func(of ...announce.Announcement) *metav1.Condition {
		r := subject{of: of}.report()
		c := r.condition(1)
		return &c
	}
	normal := func(address, node string) event {
		return event{"Normal", "nodeAssigned", "announcing " + address + ` from node "` + node + `" with protocol "layer2"`}
	}
	cases := map[string]struct {
		reason string
		before *metav1.Condition
		record map[netip.Addr][]string
		now    []announce.Announcement
		want   []event
	}{
		"First":    {"the first announcement", nil, recorded(four, "c"), []announce.Announcement{by4("c")}, []event{normal("192.0.2.7", "c")}},
		"Same":     {"nothing new", was(by4("c")), recorded(four, "c"), []announce.Announcement{by4("c")}, nil},
		"Moved":    {"another node", was(by4("c")), recorded(four, "c"), []announce.Announcement{by4("d")}, []event{normal("192.0.2.7", "d")}},
		"OneMoved": {"only what moved", was(by4("c"), by6("c")), recorded(four, "c", six, "c"), []announce.Announcement{by4("c"), by6("d")}, []event{normal("2001:db8::7", "d")}},
		"Tenth":    {"a node whose name begins as that of the former", was(by4("c0")), recorded(four, "c0"), []announce.Announcement{by4("c")}, []event{normal("192.0.2.7", "c")}},
		"Failed": {"nobody can any more", was(by4("c")), recorded(four, "c"), []announce.Announcement{nobody(announce.NoNode, "why")},
			[]event{{"Warning", "announceFailed", "192.0.2.7 by nobody: why"}}},
		"StillFailed": {"the same reason is told once", was(nobody(announce.NoNode, "3 nodes")), nil, []announce.Announcement{nobody(announce.NoNode, "2 nodes")}, nil},
		"Starting":    {"a new Service whose pods start", nil, nil, []announce.Announcement{nobody(announce.NoEndpoints, "why")}, nil},
		"Withdrawn": {"the last pod went", was(by4("c")), recorded(four, "c"), []announce.Announcement{nobody(announce.NoEndpoints, "why")},
			[]event{{"Normal", "Withdrawn", "192.0.2.7 by nobody: why"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := transition(tc.now, tc.before, tc.record, subject{of: tc.now}.report())
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(event{})); diff != "" {
				t.Errorf("\n%s\ntransition(…): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestFill(t *testing.T) {
	var own Own
	for range 300 {
		own.Links = append(own.Links, announce.Link{Name: "eth"})
	}
	for i := range 200 {
		own.Conflicts = append(own.Conflicts, kube.Conflict{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Before: true})
	}
	own.Announced, own.Errors = 3, map[string]string{"eth1": "gone", "eth0": "refused"}
	var s v1beta1.SpeakerStatusStatus
	fill(&s, own)
	if len(s.Interfaces) != maxInterfaces || s.AnnouncedAddresses != 3 {
		t.Errorf("%d interfaces, %d addresses", len(s.Interfaces), s.AnnouncedAddresses)
	}
	if len(s.Conflicts) != maxConflicts || s.Conflicts[1].Address != "192.0.2.1" || !s.Conflicts[1].BeforeUse {
		t.Errorf("%d conflicts, the second %+v", len(s.Conflicts), s.Conflicts[1])
	}
	if n := s.InterfaceNames; len(n) != maxNames || n[:8] != "eth,eth," || n[len(n)-1] != '*' {
		t.Errorf("interfaces are named %q", n)
	}
	if c := s.Conditions[0]; c.Status != metav1.ConditionFalse || c.Message != "eth0: refused; eth1: gone" {
		t.Errorf("condition %+v", c)
	}
}

// What is recorded says who announces. Who is next is not written for its own sake.
func TestSays(t *testing.T) {
	a := by4("c")
	a.Next = "d"
	r := subject{of: []announce.Announcement{a, nobody(announce.NoNode, "why")}}.report()
	r.of[1].Address = six
	c := r.condition(1)
	cases := map[string]struct {
		reason string
		record map[netip.Addr][]string
		says   bool
		want   string
	}{
		"Nothing": {"nothing is recorded", nil, false, "192.0.2.7=c,d"},
		"Same":    {"all that matters is", map[netip.Addr][]string{four: {"c", "e"}}, true, "192.0.2.7=c,e"},
		"Other":   {"another announces", map[netip.Addr][]string{four: {"d", "c"}}, false, "192.0.2.7=c,d"},
		"Kept":    {"what is not announced keeps its record", map[netip.Addr][]string{six: {"d"}}, false, "192.0.2.7=c,d; 2001:db8::7=d"},
		"Former":  {"an address that is not the Service's any more does not", map[netip.Addr][]string{netip.MustParseAddr("192.0.2.9"): {"d"}}, false, "192.0.2.7=c,d"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := r.Says(&c, tc.record, []netip.Addr{four}); got != tc.says {
				t.Errorf("%s: says %t", tc.reason, got)
			}
			if got := kube.AnnouncersText(r.merge(tc.record)); got != tc.want {
				t.Errorf("%s: written %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
	if r.Says(nil, r.Record, []netip.Addr{four}) {
		t.Error("no condition says it")
	}
	if r.Says(&c, r.Record, nil) {
		t.Error("that the address is in use is not noted, and nothing is to be written")
	}
	used := r.used([]netip.Addr{six, netip.MustParseAddr("192.0.2.9")})
	if diff := cmp.Diff([]netip.Addr{four, six}, used, compareAddrs); diff != "" {
		t.Errorf("what was announced once has been in use, though nobody announces it now: -want, +got:\n%s", diff)
	}
}

// An address stays in its slice and keeps its time; what is added fills what there is.
func TestPack(t *testing.T) {
	then, now := metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(2, 0))
	on := func(i int) v1beta1.AddressAnnouncement {
		return v1beta1.AddressAnnouncement{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String(), Interfaces: []string{"eth0"}, Since: then}
	}
	task := func(i int, m announce.Mode) announce.Task {
		return announce.Task{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Links: []string{"eth0"}, Mode: m}
	}
	have := []v1beta1.AnnouncementSlice{
		{ObjectMeta: metav1.ObjectMeta{Name: "node-1-0"}, Announcements: []v1beta1.AddressAnnouncement{on(1), on(5)}},
		{ObjectMeta: metav1.ObjectMeta{Name: "node-1-1"}, Announcements: []v1beta1.AddressAnnouncement{on(6)}},
		{ObjectMeta: metav1.ObjectMeta{Name: "node-1-nonsense"}, Announcements: []v1beta1.AddressAnnouncement{on(9)}},
	}
	got := pack(have, []announce.Task{
		task(2, announce.Fresh), task(3, announce.Own), task(4, announce.Yielding), task(5, announce.Own), task(7, announce.Standin), task(8, announce.Own), task(9, announce.Own),
	}, 2, now)
	late := func(i int) v1beta1.AddressAnnouncement {
		a := on(i)
		a.Since = now
		return a
	}
	want := [][]v1beta1.AddressAnnouncement{{late(2), on(5)}, {late(3), late(8)}, {late(9)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	if got := pack(have[:2], nil, 2, now); len(got) != 2 || len(got[0])+len(got[1]) != 0 {
		t.Errorf("what is not announced any more stays: %v", got)
	}
}

// TestRenderConflicts: the condition says what is known, and who has found something says so by an event, once.
func TestRenderConflicts(t *testing.T) {
	conflict := func(a netip.Addr, node string) kube.Conflict {
		return kube.Conflict{Addr: a, MAC: "02:00:00:00:00:99", Node: node, Link: "eth0", Before: true}
	}
	cases := map[string]struct {
		reason      string
		before, now []kube.Conflict
		event       bool
	}{
		"None":   {"nothing is said where there is nothing to say", nil, nil, false},
		"First":  {"a conflicting host is reported", nil, []kube.Conflict{conflict(four, "c")}, true},
		"Again":  {"once", []kube.Conflict{conflict(four, "c")}, []kube.Conflict{conflict(four, "c")}, false},
		"Gone":   {"until it is not seen any more", []kube.Conflict{conflict(four, "c")}, nil, false},
		"Others": {"what another node has found is its to report", nil, []kube.Conflict{conflict(six, "d")}, false},
		"Both":   {"one is found beside it", []kube.Conflict{conflict(six, "d")}, []kube.Conflict{conflict(four, "c"), conflict(six, "d")}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			svc := &corev1.Service{}
			if len(tc.before) > 0 {
				svc.Status.Conditions = []metav1.Condition{kube.ConflictCondition(tc.before, 1)}
			}
			events := renderConflicts(svc, "c", tc.now)
			want := ""
			if len(tc.now) > 0 {
				want = kube.ConflictCondition(tc.now, 1).Message
			}
			got := ""
			if c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict); c != nil {
				got = c.Message
			}
			if got != want || (len(events) > 0) != tc.event {
				t.Errorf("%s: %q, want %q; events: %v", tc.reason, got, want, events)
			}
		})
	}
}

// What becomes of an address by layer 2 and by BGP is said together.
func TestJoin(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.7")
	l2 := announce.Announcement{Address: at, Node: "node-1", Links: []string{"eth0"}, Reason: announce.Announced}
	unwanted := announce.Announcement{Address: at, Reason: announce.NoAdvertisement, Message: "no advertisement"}
	nowhere := announce.Announcement{Address: at, Reason: announce.NoNode, Message: "no node"}
	empty := announce.Announcement{Address: at, Reason: announce.NoEndpoints, Message: "no endpoint"}
	routed := announce.Reach{Peers: []string{"a", "b"}, Reason: announce.Announced}
	unrouted := announce.Reach{Reason: announce.NoNode, Message: "no peer"}
	idle := announce.Reach{Reason: announce.NoEndpoints, Message: "no endpoint"}
	with := func(a announce.Announcement, r announce.Reach) announce.Announcement { a.BGP = r; return a }
	for _, tc := range []struct {
		of   announce.Announcement
		want string
	}{
		{l2, "Announced: 192.0.2.7 by node node-1 on eth0 (layer 2)"},
		{with(l2, routed), "Announced: 192.0.2.7 by node node-1 on eth0 (layer 2), and by BGP to a, b"},
		{with(l2, unrouted), "Announced: 192.0.2.7 by node node-1 on eth0 (layer 2), not by BGP: no peer"},
		{with(unwanted, routed), "Announced: 192.0.2.7 by BGP to a, b"},
		{with(nowhere, routed), "Announced: 192.0.2.7 by BGP to a, b, not by layer 2: no node"},
		{unwanted, "NoAdvertisement: 192.0.2.7 by nobody: no advertisement"},
		{with(unwanted, unrouted), "NoNode: 192.0.2.7 by nobody: no peer"},
		{with(nowhere, unrouted), "NoNode: 192.0.2.7 by nobody: no node, and by BGP no peer"},
		{with(empty, idle), "NoEndpoints: 192.0.2.7 by nobody: no endpoint"},
	} {
		reason, text := join(tc.of)
		if got := string(reason) + ": " + text; got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
