package conditions

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
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

// Reasons of the conditions that say what objects select of each other.
const (
	reasonAdvertised = "Advertised"
	reasonMatching   = "Matching"
	noAdvertisement  = "NoAdvertisement"
	noPool           = "NoPool"
	noNode           = "NoNode"
	notAccepted      = "NotAccepted"
)

// cluster is what objects are judged by.
type cluster struct {
	snapshot *config.Snapshot
	nodes    []corev1.Node
}

// judge returns the conditions that an object should have.
func (c *cluster) judge(o client.Object, problems []config.Problem) []metav1.Condition {
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
		Status: metav1.ConditionTrue, Reason: reasonAccepted, Message: "active",
	})}
	switch o.(type) {
	case *v1beta1.IPAddressPool:
		out = append(out, c.advertised(o), condition(metav1.ConditionTrue, warnings, metav1.Condition{
			Type: v1beta1.ConditionOverlapping, ObservedGeneration: o.GetGeneration(),
			Status: metav1.ConditionFalse, Reason: reasonDistinct, Message: "no node, pod or cluster IP is known to have an address of this pool",
		}))
	case *v1beta1.L2Advertisement:
		out = append(out, matching(c, o, c.snapshot.L2(), func(l *config.L2) string { return l.Name }))
	case *v1beta1.BGPAdvertisement:
		out = append(out, matching(c, o, c.snapshot.BGP(), func(a *config.BGPAdvertisement) string { return a.Name }))
	}
	return out
}

// advertisement is one of either protocol.
type advertisement interface {
	Announces(p *config.Pool) bool
	SelectsNode(labels map[string]string) bool
}

// advertised says whether the addresses of a pool are announced, of some Services at least.
func (c *cluster) advertised(o client.Object) metav1.Condition {
	out := metav1.Condition{
		Type: v1beta1.ConditionAdvertised, ObservedGeneration: o.GetGeneration(), Status: metav1.ConditionFalse, Reason: noAdvertisement,
		Message: "no L2Advertisement or BGPAdvertisement is for this pool: its addresses are assigned, but not announced",
	}
	pool := c.snapshot.Pool(o.GetName())
	if pool == nil {
		out.Reason, out.Message = notAccepted, "the pool is not accepted"
		return out
	}
	var by []string
	for _, ref := range c.snapshot.AdvertisedBy(pool) {
		by = append(by, string(ref.Kind)+" "+ref.Name)
	}
	if len(by) > 0 {
		out.Status, out.Reason, out.Message = metav1.ConditionTrue, reasonAdvertised, "by "+list(by)
	}
	return out
}

// most is how many objects a message names at most.
const most = 5

func list(names []string) string {
	text := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// matching says how many pools and nodes an advertisement selects, among all that are active.
func matching[A advertisement](c *cluster, o client.Object, all []A, name func(A) string) metav1.Condition {
	out := metav1.Condition{
		Type: v1beta1.ConditionMatching, ObservedGeneration: o.GetGeneration(), Status: metav1.ConditionFalse, Reason: notAccepted,
		Message: "the advertisement is not accepted",
	}
	i := slices.IndexFunc(all, func(a A) bool { return name(a) == o.GetName() })
	if i < 0 {
		return out
	}
	pools, nodes := 0, 0
	for _, p := range c.snapshot.Pools() {
		if all[i].Announces(p) {
			pools++
		}
	}
	for j := range c.nodes {
		if all[i].SelectsNode(c.nodes[j].Labels) {
			nodes++
		}
	}
	out.Message = fmt.Sprintf("%d of %d pools, %d of %d nodes", pools, len(c.snapshot.Pools()), nodes, len(c.nodes))
	switch {
	case pools == 0:
		out.Reason = noPool
	case nodes == 0:
		out.Reason = noNode
	default:
		out.Status, out.Reason = metav1.ConditionTrue, reasonMatching
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
// go: the condition alone says which of them a pool overlaps.
func newsworthy(before, now *metav1.Condition) bool {
	switch {
	case now.Type == v1beta1.ConditionAdvertised, now.Type == v1beta1.ConditionMatching, now.Reason == reasonAccepted, now.Reason == reasonDistinct:
		return false
	case now.Type == v1beta1.ConditionAccepted, before == nil:
		return true
	default:
		return before.Status != now.Status || before.Reason != now.Reason
	}
}
