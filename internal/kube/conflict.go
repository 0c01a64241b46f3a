package kube

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A Conflict is an address of a Service that a host uses which is not of this cluster.
type Conflict struct {
	Addr netip.Addr
	// MAC of that host, seen by a node on one of its links.
	MAC, Node, Link string
}

// Reasons of the condition fairlead.io/AddressConflict.
const (
	// FoundBeforeUse: the address is not announced, so that nobody is served on it.
	FoundBeforeUse reason = "FoundBeforeUse"
	// FoundInUse: the address is announced, and goes on being so.
	FoundInUse reason = "FoundInUse"
)

type reason = string

// What is said of a conflict between its parts, and between two conflicts.
const (
	usedBy, seenBy, on = " is also used by ", ", seen by ", " on "
	between            = "; "
)

// ConflictCondition returns the condition that tells of conflicts, which must be some. A
// Service has one condition for all of its addresses: before holds for all of them.
func ConflictCondition(before bool, cs []Conflict, generation int64) metav1.Condition {
	reason := FoundInUse
	if before {
		reason = FoundBeforeUse
	}
	told := make([]string, len(cs))
	for i, c := range cs {
		told[i] = fmt.Sprint(c.Addr, usedBy, c.MAC, seenBy, c.Node, on, c.Link)
	}
	return metav1.Condition{
		Type: v1beta1.ServiceConditionAddressConflict, Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: reason, Message: strings.Join(told, between),
	}
}

// ReadConflicts reads what a Service is told of conflicts, and whether they were found before the
// addresses were announced. What somebody else has written is left out.
func ReadConflicts(svc *corev1.Service) (before bool, out []Conflict) {
	c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict)
	if c == nil || c.Status != metav1.ConditionTrue {
		return false, nil
	}
	for told := range strings.SplitSeq(c.Message, between) {
		address, rest, isConflict := strings.Cut(told, usedBy)
		mac, rest, isSeen := strings.Cut(rest, seenBy)
		node, link, isOn := strings.Cut(rest, on)
		if a, err := netip.ParseAddr(address); isConflict && isSeen && isOn && err == nil && a.Zone() == "" {
			out = append(out, Conflict{a.Unmap(), mac, node, link})
		}
	}
	return c.Reason == FoundBeforeUse, out
}

// DropConflicts removes the condition from a Service that shows none of the addresses in it.
func DropConflicts(svc *corev1.Service) {
	_, told := ReadConflicts(svc)
	shown, _ := Shown(svc)
	if !slices.ContainsFunc(told, func(c Conflict) bool { return slices.Contains(shown, c.Addr) }) {
		meta.RemoveStatusCondition(&svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict)
	}
}

// conflicts returns what a Service shows of the addresses that were found in use before they were announced.
func conflicts(svc *corev1.Service, shown []netip.Addr) (out []netip.Addr) {
	before, told := ReadConflicts(svc)
	for _, c := range told {
		if before && slices.Contains(shown, c.Addr) && !slices.Contains(out, c.Addr) {
			out = append(out, c.Addr)
		}
	}
	return out
}
