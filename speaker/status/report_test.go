package status

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
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
			Report{web, metav1.ConditionTrue, "Announced", "192.0.2.7 by node c on eth0, eth1 (layer 2)"},
		},
		"FirstOfTwo": {
			"of two announcers that of the first address", []announce.Announcement{by4("d"), by6("c")}, healthy("c", "d"), "d",
			Report{web, metav1.ConditionTrue, "Announced", "192.0.2.7 by node d on eth0, eth1 (layer 2); 2001:db8::7 by node c on eth0 (layer 2)"},
		},
		"HalfAnnounced": {
			"an address that nobody announces makes the condition false", []announce.Announcement{nobody(announce.NoNode, "no node is known"), by6("d")},
			healthy("c", "d"), "d",
			Report{web, metav1.ConditionFalse, "NoNode", "192.0.2.7 by nobody: no node is known; 2001:db8::7 by node d on eth0 (layer 2)"},
		},
		"Nobody": {
			"where nobody announces, the first healthy node reports", []announce.Announcement{nobody(announce.NoEndpoints, "no pods")}, healthy("c", "d"), "c",
			Report{web, metav1.ConditionFalse, "NoEndpoints", "192.0.2.7 by nobody: no pods"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, n := range tc.nodes {
				got := Reports(announce.Plan{Announcements: tc.plan}, tc.nodes, n.Name)
				var want []Report
				if n.Name == tc.who {
					want = []Report{tc.want}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("\n%s\nReports(…) of %s: -want, +got:\n%s", tc.reason, n.Name, diff)
				}
			}
		})
	}
}

func TestTransition(t *testing.T) {
	was := func(of ...announce.Announcement) *metav1.Condition {
		r := report(of)
		c := r.condition(1)
		return &c
	}
	normal := func(address, node string) event {
		return event{"Normal", "nodeAssigned", "announcing " + address + ` from node "` + node + `" with protocol "layer2"`}
	}
	cases := map[string]struct {
		reason string
		before *metav1.Condition
		now    []announce.Announcement
		want   []event
	}{
		"First":    {"the first announcement", nil, []announce.Announcement{by4("c")}, []event{normal("192.0.2.7", "c")}},
		"Same":     {"nothing new", was(by4("c")), []announce.Announcement{by4("c")}, nil},
		"Moved":    {"another node", was(by4("c")), []announce.Announcement{by4("d")}, []event{normal("192.0.2.7", "d")}},
		"OneMoved": {"only what moved", was(by4("c"), by6("c")), []announce.Announcement{by4("c"), by6("d")}, []event{normal("2001:db8::7", "d")}},
		"Failed": {"nobody can any more", was(by4("c")), []announce.Announcement{nobody(announce.NoNode, "why")},
			[]event{{"Warning", "announceFailed", "192.0.2.7 by nobody: why"}}},
		"StillFailed": {"the same reason is told once", was(nobody(announce.NoNode, "3 nodes")), []announce.Announcement{nobody(announce.NoNode, "2 nodes")}, nil},
		"Starting":    {"a new Service whose pods start", nil, []announce.Announcement{nobody(announce.NoEndpoints, "why")}, nil},
		"Withdrawn": {"the last pod went", was(by4("c")), []announce.Announcement{nobody(announce.NoEndpoints, "why")},
			[]event{{"Normal", "Withdrawn", "192.0.2.7 by nobody: why"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := transition(tc.now, tc.before, report(tc.now))
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
	own.Announced, own.Errors = 3, map[string]string{"eth1": "gone", "eth0": "refused"}
	var s v1beta1.SpeakerStatusStatus
	fill(&s, own)
	if len(s.Interfaces) != maxInterfaces || s.AnnouncedAddresses != 3 {
		t.Errorf("%d interfaces, %d addresses", len(s.Interfaces), s.AnnouncedAddresses)
	}
	if c := s.Conditions[0]; c.Status != metav1.ConditionFalse || c.Message != "eth0: refused; eth1: gone" {
		t.Errorf("condition %+v", c)
	}
}
