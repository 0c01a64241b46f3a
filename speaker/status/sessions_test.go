package status

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func TestFillSessions(t *testing.T) {
	begun, later := time.Unix(1000, 0), time.Unix(2000, 500)
	at := netip.MustParseAddr("192.0.2.1")
	session := func(state, err string, since time.Time) Session {
		return Session{Peer: "a", Address: at, State: state, Error: err, Since: since}
	}
	reported := func(state, err string, since int64) []v1beta1.BGPSession {
		return []v1beta1.BGPSession{{Peer: "a", Address: "192.0.2.1", State: state, LastError: err, Since: metav1.Unix(since, 0)}}
	}
	cases := map[string]struct {
		reason  string
		before  []v1beta1.BGPSession
		all     []Session
		want    []v1beta1.BGPSession
		summary string
		event   string
	}{
		"New": {"a session that begins is no news", nil, []Session{session("Connect", "", begun)}, reported("Connect", "", 1000), "0/1", ""},
		"Up":  {"that it is established is", reported("OpenSent", "", 1000), []Session{session("Established", "", later)}, reported("Established", "", 2000), "1/1", "Normal SessionUp is established"},
		"Down": {
			"that it is not any more too, with the reason", reported("Established", "", 1000), []Session{session("Active", "hold timer expired", later)},
			reported("Active", "hold timer expired", 2000), "0/1", "Warning SessionDown ended: hold timer expired",
		},
		"Again": {
			"a session that was established again in between began later", reported("Established", "", 1000), []Session{session("Established", "", later)},
			reported("Established", "", 2000), "1/1", "",
		},
		"Trying": {
			"attempts that fail for the same reason change nothing", reported("Active", "refused", 1000), []Session{session("Connect", "refused", later)},
			reported("Active", "refused", 1000), "0/1", "",
		},
		"Reason": {
			"another reason is shown, and since when there is no session", reported("Active", "refused", 1000), []Session{session("Connect", "no route", later)},
			reported("Connect", "no route", 1000), "0/1", "",
		},
		"Long": {
			"a peer's words have a bound", nil, []Session{session("Active", strings.Repeat("x", 300), begun)},
			reported("Active", strings.Repeat("x", 256), 1000), "0/1", "",
		},
		"Gone": {"a peer that is not wanted any more is not mentioned", reported("Established", "", 1000), nil, nil, "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := v1beta1.BGPStatusStatus{Sessions: tc.before}
			news := fillSessions(&s, tc.all)
			if diff := cmp.Diff(tc.want, s.Sessions); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
			e := news["a"]
			if got := strings.TrimSpace(e.kind + " " + e.reason + " " + e.message); got != tc.event || s.Summary != tc.summary {
				t.Errorf("%s: event %q, summary %q", tc.reason, got, s.Summary)
			}
		})
	}
}
