package status

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A Report is what is to be said of a Service.
type Report struct {
	Service announce.Key
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// Says reports whether a condition says what the Report does.
func (r *Report) Says(c *metav1.Condition) bool {
	return c != nil && c.Status == r.Status && c.Reason == r.Reason && c.Message == r.Message
}

// Reports returns what a node has to say, of which Services, by Service.
func Reports(plan announce.Plan, nodes []announce.Node, self string) []Report {
	var out []Report
	spare := firstHealthy(nodes)
	for i := 0; i < len(plan.Announcements); {
		of := plan.Of(plan.Announcements[i].Service)
		i += len(of)
		if reporter(of, spare) == self {
			out = append(out, report(of))
		}
	}
	return out
}

// reporter returns the node that reports on a Service.
func reporter(of []announce.Announcement, spare string) string {
	for _, a := range of {
		if a.Node != "" {
			return a.Node
		}
	}
	return spare
}

// firstHealthy returns the first node, by name, whose speaker is there to report.
func firstHealthy(nodes []announce.Node) string {
	for _, n := range nodes {
		if n.Ready && n.SpeakerReady {
			return n.Name
		}
	}
	return ""
}

// report joins what becomes of each address of a Service. One that is not
// announced makes the condition false.
func report(of []announce.Announcement) Report {
	r := Report{Service: of[0].Service, Status: metav1.ConditionTrue, Reason: string(announce.Announced)}
	var parts []string
	for _, a := range of {
		part := by(a) + " on " + strings.Join(a.Links, ", ") + " (layer 2)"
		if a.Node == "" {
			part = fmt.Sprintf("%s by nobody: %s", a.Address, a.Message)
			if r.Status == metav1.ConditionTrue {
				r.Status, r.Reason = metav1.ConditionFalse, string(a.Reason)
			}
		}
		parts = append(parts, part)
	}
	r.Message = strings.Join(parts, "; ")
	return r
}

// by says who announces an address.
func by(a announce.Announcement) string { return fmt.Sprintf("%s by node %s", a.Address, a.Node) }

// condition returns the condition that a Report makes.
func (r *Report) condition(generation int64) metav1.Condition {
	return metav1.Condition{
		Type: v1beta1.ServiceConditionAnnounced, Status: r.Status, Reason: r.Reason, Message: r.Message,
		ObservedGeneration: generation,
	}
}
