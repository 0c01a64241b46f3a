package status

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A Report is what is to be said of a Service.
type Report struct {
	subject

	Service announce.Key
	Status  metav1.ConditionStatus
	Reason  string
	Message string
	// Record is who announces each address, and who would next.
	Record map[netip.Addr][]string
}

// subject is what a Report is about: the announcements, and the conflicts of the Service's addresses. A Report is made of it when it is
// needed, as it takes several times the memory.
type subject struct {
	of        []announce.Announcement
	conflicts []kube.Conflict
}

// Says reports whether a condition, a record and what is in use say what the Report does. Of the record only who announces
// matters: who would next is a proposal, and no reason to write.
func (r *Report) Says(c *metav1.Condition, record map[netip.Addr][]string, inUse []netip.Addr) bool {
	if c == nil || c.Status != r.Status || c.Reason != r.Reason || c.Message != r.Message {
		return false
	}
	for a, want := range r.Record {
		if got := record[a]; len(got) == 0 || got[0] != want[0] {
			return false
		}
	}
	return !slices.ContainsFunc(r.of, func(a announce.Announcement) bool { return announced(a) && !slices.Contains(inUse, a.Address) })
}

// equal reports whether two Reports of a Service say the same; who announces is part of the message.
func (r *Report) equal(o Report) bool {
	return r.Status == o.Status && r.Reason == o.Reason && r.Message == o.Message
}

// isReporter reports whether a node has something to say of a Service; else another node has, or none.
func isReporter(of []announce.Announcement, nodes []announce.Node, self string) bool {
	return len(of) > 0 && reporter(of, firstHealthy(nodes)) == self
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
		if n.Ready && (n.Presence == announce.Alive || n.Presence == announce.Unknown && n.SpeakerReady) {
			return n.Name
		}
	}
	return ""
}

// report joins what becomes of each address of a Service. One that is not
// announced makes the condition false.
func (s subject) report() Report {
	r := Report{
		Service: s.of[0].Service, Status: metav1.ConditionTrue, Reason: string(announce.Announced), Record: map[netip.Addr][]string{}, subject: s,
	}
	var parts []string
	for _, a := range s.of {
		if a.Reason == announce.Announced {
			r.Record[a.Address] = record(a)
		}
		reason, text := join(a)
		if reason != announce.Announced && r.Status == metav1.ConditionTrue {
			r.Status, r.Reason = metav1.ConditionFalse, string(reason)
		}
		parts = append(parts, text)
	}
	r.Message = strings.Join(parts, "; ")
	return r
}

// announced reports whether an address is announced by any protocol.
func announced(a announce.Announcement) bool {
	return a.Reason == announce.Announced || a.BGP.Reason == announce.Announced
}

// join says what becomes of an address by both protocols. One that no advertisement asks for is not mentioned.
func join(a announce.Announcement) (announce.Reason, string) {
	routed := "by BGP to " + strings.Join(a.BGP.Peers, ", ")
	wanted, routable := a.Reason != announce.NoAdvertisement, a.BGP.Reason != ""
	switch {
	case a.Reason == announce.Announced:
		text := by(a) + " on " + strings.Join(a.Links, ", ") + " (layer 2)"
		switch {
		case a.BGP.Reason == announce.Announced:
			text += ", and " + routed
		case routable:
			text += ", not by BGP: " + a.BGP.Message
		}
		return announce.Announced, text
	case a.BGP.Reason == announce.Announced && wanted:
		return announce.Announced, fmt.Sprintf("%s %s, not by layer 2: %s", a.Address, routed, a.Message)
	case a.BGP.Reason == announce.Announced:
		return announce.Announced, fmt.Sprintf("%s %s", a.Address, routed)
	case routable && !wanted:
		return a.BGP.Reason, fmt.Sprintf("%s by nobody: %s", a.Address, a.BGP.Message)
	case routable && a.BGP.Message != a.Message:
		return a.Reason, fmt.Sprintf("%s by nobody: %s, and by BGP %s", a.Address, a.Message, a.BGP.Message)
	default:
		return a.Reason, fmt.Sprintf("%s by nobody: %s", a.Address, a.Message)
	}
}

// record returns what is to be recorded of an address that is announced.
func record(a announce.Announcement) []string {
	if a.Next == "" {
		return []string{a.Node}
	}
	return []string{a.Node, a.Next}
}

// by says who announces an address.
func by(a announce.Announcement) string { return kube.ByNode(a.Address, a.Node) }

// render puts the Report into a Service, and returns the events that say so. The nodes, as they are now, say why a former one does not
// announce any more.
func (r *Report) render(svc *corev1.Service, nodes []announce.Node) []event {
	before := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAnnounced).DeepCopy()
	record := kube.Announcers(svc.Annotations[kube.AnnotationAnnouncers])
	shown, _ := kube.Shown(svc)
	inUse := kube.InUse(svc.Annotations[kube.AnnotationInUse], shown)
	if r.Says(before, record, inUse) {
		return nil
	}
	meta.SetStatusCondition(&svc.Status.Conditions, r.condition(svc.Generation))
	kube.Annotate(svc, kube.AnnotationAnnouncers, kube.AnnouncersText(r.merge(record)))
	kube.Annotate(svc, kube.AnnotationInUse, kube.InUseText(r.used(inUse)))
	r.note(svc, nodes, reasonOf(before), record, inUse, time.Now())
	return transition(r.of, before, record, *r)
}

// note adds to a Service's history which addresses are announced by another node than before, and why; which are announced again, and
// which are not any more.
func (r *Report) note(svc *corev1.Service, nodes []announce.Node, was string, record map[netip.Addr][]string, inUse []netip.Addr, now time.Time) {
	for _, a := range r.of {
		node := a.Node
		if node == "" {
			node = "BGP" // by all nodes that can
		}
		former, what := "", ""
		if n := record[a.Address]; len(n) > 0 {
			former = n[0]
		}
		switch used := slices.Contains(inUse, a.Address); {
		case !announced(a) && was == string(announce.Announced):
			what = "not announced: " + r.Reason
		case !announced(a):
		case used && a.Node != "" && former != "" && former != a.Node:
			what = fmt.Sprintf("moved from %s to %s: %s", former, a.Node, why(nodes, former))
		case !used, was != string(announce.Announced):
			what = "announced by " + node
		}
		if what != "" {
			kube.Note(svc, kube.Change{At: now, Addr: a.Address, What: what})
		}
	}
}

// why says what is the matter with a node that does not announce any more.
func why(nodes []announce.Node, node string) string {
	i := slices.IndexFunc(nodes, func(n announce.Node) bool { return n.Name == node })
	if i < 0 {
		return "the node was deleted"
	}
	switch n := &nodes[i]; {
	case n.Presence == announce.Gone:
		return "the node is lost, or its speaker was away for too long"
	case n.Excluded:
		return "the node is excluded from external load balancers"
	case n.Retiring:
		return "the node is to be taken out of service"
	case n.NetworkUnavailable:
		return "the node's network is unavailable"
	case !n.Ready:
		return "the node is not ready"
	case n.Impaired:
		return "the node's speaker cannot do all that it should"
	default:
		return "another node is preferred, or the former has no endpoint or interface for it"
	}
}

// used adds to the addresses that have been announced those that are announced now.
func (r *Report) used(before []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range r.of {
		if announced(a) || slices.Contains(before, a.Address) {
			out = append(out, a.Address)
		}
	}
	return out
}

// renderConflicts puts into a Service which of its addresses another host uses, and returns the event that says so, if
// this node is one of those that have found it.
func renderConflicts(svc *corev1.Service, self string, all []kube.Conflict) []event {
	if len(all) == 0 {
		meta.RemoveStatusCondition(&svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict)
		return nil
	}
	c := kube.ConflictCondition(all, svc.Generation)
	own := slices.ContainsFunc(all, func(c kube.Conflict) bool { return c.Node == self })
	before := meta.FindStatusCondition(svc.Status.Conditions, c.Type)
	news := before == nil || before.Message != c.Message
	if meta.SetStatusCondition(&svc.Status.Conditions, c); !news || !own {
		return nil
	}
	return []event{{corev1.EventTypeWarning, eventConflict, c.Message}}
}

// merge returns a record with what the Report says in it. Who announces already keeps who is next.
func (r *Report) merge(before map[netip.Addr][]string) map[netip.Addr][]string {
	out := map[netip.Addr][]string{}
	for _, a := range r.of {
		was, is := before[a.Address], r.Record[a.Address]
		switch {
		case len(is) > 0 && (len(was) == 0 || was[0] != is[0]):
			out[a.Address] = is
		case len(was) > 0:
			out[a.Address] = was
		}
	}
	return out
}

// condition returns the condition that a Report makes.
func (r *Report) condition(generation int64) metav1.Condition {
	return metav1.Condition{
		Type: v1beta1.ServiceConditionAnnounced, Status: r.Status, Reason: r.Reason, Message: r.Message,
		ObservedGeneration: generation,
	}
}
