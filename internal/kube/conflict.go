package kube

import (
	"fmt"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A Conflict is an address of a Service that a host uses which is not of this cluster.
type Conflict struct {
	Addr netip.Addr
	// Namespace and Service name the Service.
	Namespace, Service string
	// MAC of that host, seen by a node on one of its links.
	MAC, Node, Link string
	// Before: it was found before the address was announced for the first time.
	Before bool
}

// Reasons of the condition fairlead.io/AddressConflict.
const (
	// FoundBeforeUse: the address is not announced, so that nobody is served on it.
	FoundBeforeUse reason = "FoundBeforeUse"
	// FoundInUse: the address is announced, and goes on being so.
	FoundInUse reason = "FoundInUse"
)

type reason = string

// ConflictCondition returns the condition that tells of conflicts, which must be some. A
// Service has one condition for all of its addresses: it says FoundBeforeUse if that is so of all.
func ConflictCondition(cs []Conflict, generation int64) metav1.Condition {
	reason := FoundBeforeUse
	parts := make([]string, len(cs))
	for i, c := range cs {
		parts[i] = fmt.Sprintf("%s is also used by %s, seen by %s on %s", c.Addr, c.MAC, c.Node, c.Link)
		if !c.Before {
			reason = FoundInUse
		}
	}
	return metav1.Condition{
		Type: v1beta1.ServiceConditionAddressConflict, Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: reason, Message: strings.Join(parts, "; "),
	}
}

// ConflictsOf reads which conflicts a speaker reports.
func ConflictsOf(s *v1beta1.SpeakerStatus) []Conflict {
	var out []Conflict
	for _, c := range s.Status.Conflicts {
		if a, err := netip.ParseAddr(c.Address); err == nil {
			out = append(out, Conflict{a.Unmap(), c.Namespace, c.Service, c.MAC, s.Name, c.Interface, c.BeforeUse})
		}
	}
	return out
}
