package conditions

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// Reasons of the conditions where there is nothing to say.
const (
	reasonAccepted = "Accepted"
	reasonDistinct = "Distinct"
)

// judge returns the conditions that an object should have.
func judge(o client.Object, problems []config.Problem) []metav1.Condition {
	var faults, warnings []config.Problem
	for _, p := range problems {
		if p.Reason.Warns() {
			warnings = append(warnings, p)
		} else {
			faults = append(faults, p)
		}
	}
	out := []metav1.Condition{condition(metav1.ConditionFalse, faults, metav1.Condition{
		Type: v1beta1.ConditionAccepted, ObservedGeneration: o.GetGeneration(),
		Status: metav1.ConditionTrue, Reason: reasonAccepted, Message: "in force",
	})}
	if _, pool := o.(*v1beta1.IPAddressPool); pool {
		out = append(out, condition(metav1.ConditionTrue, warnings, metav1.Condition{
			Type: v1beta1.ConditionOverlapping, ObservedGeneration: o.GetGeneration(),
			Status: metav1.ConditionFalse, Reason: reasonDistinct, Message: "no node, pod or cluster IP is known to have an address of this pool",
		}))
	}
	return out
}

// condition has a condition tell of problems, if there are any.
func condition(bad metav1.ConditionStatus, problems []config.Problem, c metav1.Condition) metav1.Condition {
	if len(problems) == 0 {
		return c
	}
	c.Status, c.Reason = bad, string(problems[0].Reason)
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message
	}
	c.Message = strings.Join(messages, "; ")
	return c
}

// newsworthy reports whether an event tells of a condition that has changed. Nodes come and
// go: which of them a pool overlaps is told by the condition alone.
func newsworthy(before, now *metav1.Condition) bool {
	switch {
	case now.Reason == reasonAccepted, now.Reason == reasonDistinct:
		return false
	case now.Type == v1beta1.ConditionAccepted, before == nil:
		return true
	default:
		return before.Status != now.Status || before.Reason != now.Reason
	}
}
