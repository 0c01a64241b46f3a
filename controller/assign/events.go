package assign

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
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
func transition(before, after *corev1.Service, d *ipam.Decision, pools []string) []event {
	said := func(svc *corev1.Service) [2]string {
		return conditionText(svc.Status.Conditions, v1beta1.ServiceConditionAssigned)
	}
	return changes(addresses(before), addresses(after), d, pools, said(before) == said(after))
}

// changes returns the events of a change of addresses, and of what is lacking unless it was said before.
func changes(had, has []netip.Addr, d *ipam.Decision, pools []string, saidBefore bool) []event {
	var out []event
	if gone := less(had, has); len(gone) > 0 {
		out = append(out, event{corev1.EventTypeNormal, eventCleared, "Released IP " + join(gone) + because(d.Lost)})
	}
	if come := less(has, had); len(come) > 0 {
		out = append(out, event{corev1.EventTypeNormal, eventAllocated, "Assigned IP " + join(come) + " from pool " + strings.Join(pools, ", ")})
	}
	if d.Reason == ipam.Assigned || saidBefore {
		return out
	}
	if len(d.Addresses) > 0 && d.Reason != ipam.InvalidRequest {
		return append(out, event{corev1.EventTypeNormal, eventIncomplete, d.Message})
	}
	return append(out, event{corev1.EventTypeWarning, eventFailed, string(d.Reason) + ": " + d.Message})
}

// note adds to a Service's history which addresses it got and lost.
func note(before, after *corev1.Service, out *outcome, now time.Time) {
	had, has := addresses(before), addresses(after)
	for _, a := range less(had, has) {
		kube.Note(after, kube.Change{At: now, Addr: a, What: "released" + because(out.Lost)})
	}
	for _, a := range less(has, had) {
		kube.Note(after, kube.Change{At: now, Addr: a, What: "assigned from pool " + cmp.Or(out.from[a], noPool)})
	}
}

func because(lost string) string {
	if lost == "" {
		return ""
	}
	return " (" + lost + ")"
}

func conditionText(cs []metav1.Condition, kind string) [2]string {
	c := meta.FindStatusCondition(cs, kind)
	if c == nil {
		return [2]string{}
	}
	return [2]string{c.Reason, c.Message}
}

func less(a, b []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a), func(x netip.Addr) bool { return slices.Contains(b, x) })
}
