package status

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// event is something to tell the user once.
type event struct{ kind, reason, message string }

// Reasons of events, in the vocabulary that users of MetalLB know.
const (
	eventAssigned  = "nodeAssigned"
	eventFailed    = "announceFailed"
	eventWithdrawn = "Withdrawn"
	eventConflict  = "AddressConflict"
)

// transition returns the events of a condition that was written: before is what it was, and record what was recorded.
func transition(of []announce.Announcement, before *metav1.Condition, record map[netip.Addr][]string, r Report) []event {
	var out []event
	for _, a := range of {
		same := reasonOf(before) == string(announce.Announced) && slices.Equal(record[a.Address][:min(1, len(record[a.Address]))], []string{a.Node})
		if a.Reason == announce.Announced && !same {
			out = append(out, event{corev1.EventTypeNormal, eventAssigned,
				fmt.Sprintf("announcing %s from node %q with protocol \"layer2\"", a.Address, a.Node)})
		}
	}
	for _, a := range of {
		if a.Reason != announce.Announced && a.BGP.Reason == announce.Announced && reasonOf(before) != string(announce.Announced) {
			out = append(out, event{corev1.EventTypeNormal, eventAssigned,
				fmt.Sprintf("announcing %s to %s with protocol \"bgp\"", a.Address, strings.Join(a.BGP.Peers, ", "))})
		}
	}
	switch was := reasonOf(before); {
	case r.Reason == was, r.Reason == string(announce.Announced):
	case r.Reason != string(announce.NoEndpoints):
		out = append(out, event{corev1.EventTypeWarning, eventFailed, r.Message})
	case was != "": // a new Service whose pods are still starting is nothing to tell of
		out = append(out, event{corev1.EventTypeNormal, eventWithdrawn, r.Message})
	}
	return out
}

func reasonOf(c *metav1.Condition) string {
	if c == nil {
		return ""
	}
	return c.Reason
}
