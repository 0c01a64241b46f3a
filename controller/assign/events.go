package assign

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/ipam"
)

// event is something to tell the user once.
type event struct{ kind, reason, message string }

// Reasons of events, in the vocabulary that users of MetalLB know.
const (
	eventAllocated  = "IPAllocated"
	eventCleared    = "ClearAssignment"
	eventFailed     = "AllocationFailed"
	eventIncomplete = "AdditionalAssignFailed"
)

// transition returns the events of a status write, from the Service before and after.
func transition(before, after *corev1.Service, d ipam.Decision, pools []string) []event {
	had, has := addresses(before), addresses(after)
	var out []event
	if gone := less(had, has); len(gone) > 0 {
		out = append(out, event{corev1.EventTypeNormal, eventCleared, "Released IP " + join(gone)})
	}
	if come := less(has, had); len(come) > 0 {
		out = append(out, event{corev1.EventTypeNormal, eventAllocated, "Assigned IP " + join(come) + " from pool " + strings.Join(pools, ", ")})
	}
	if d.Reason == ipam.Assigned || said(before) == said(after) {
		return out
	}
	if len(d.Addresses) > 0 && d.Reason != ipam.InvalidRequest {
		return append(out, event{corev1.EventTypeNormal, eventIncomplete, d.Message})
	}
	return append(out, event{corev1.EventTypeWarning, eventFailed, string(d.Reason) + ": " + d.Message})
}

func said(svc *corev1.Service) [2]string {
	c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAssigned)
	if c == nil {
		return [2]string{}
	}
	return [2]string{c.Reason, c.Message}
}

func less(a, b []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a), func(x netip.Addr) bool { return slices.Contains(b, x) })
}
