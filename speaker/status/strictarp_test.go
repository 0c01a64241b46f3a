package status

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func TestStrictARP(t *testing.T) {
	is := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{{Type: v1beta1.ConditionStrictARP, Status: status, Reason: reason, Message: "x"}}
	}
	yes, no := is(metav1.ConditionTrue, reasonStrict), is(metav1.ConditionFalse, reasonNotStrict)
	lenient, strict := &ARP{IPVS: true, Lenient: []string{"eth0", "eth1"}}, &ARP{IPVS: true}
	cases := map[string]struct {
		reason string
		before []metav1.Condition
		arp    *ARP
		want   string // its status; empty if it is not there
		told   bool
	}{
		"Other":    {"kube-proxy in another mode is nothing to speak of", nil, &ARP{}, "", false},
		"Left":     {"a former mode is not either", no, &ARP{}, "", false},
		"Found":    {"that the kernel answers is told", nil, lenient, "False", true},
		"Again":    {"once", no, lenient, "False", false},
		"Lost":     {"and when it begins to", yes, lenient, "False", true},
		"Solved":   {"what is well is said only", no, strict, "True", false},
		"Well":     {"and from the start", nil, strict, "True", false},
		"Unknown":  {"who has not looked yet says nothing", nil, nil, "", false},
		"Restart":  {"and leaves what was said before", no, nil, "False", false},
		"RestartT": {"whatever it is", yes, nil, "True", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			conditions := append([]metav1.Condition(nil), tc.before...)
			events, got := renderARP(&conditions, tc.arp), ""
			for _, c := range conditions {
				got = string(c.Status)
				if c.Status == metav1.ConditionFalse && c.Message != "x" && (!strings.Contains(c.Message, "eth0, eth1") || !strings.Contains(c.Message, "strictARP: true")) {
					t.Errorf("%s: the message does not say what to do: %s", tc.reason, c.Message)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
			if (len(events) > 0) != tc.told {
				t.Errorf("%s: told %v", tc.reason, events)
			}
		})
	}
}
