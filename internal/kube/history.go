package kube

import (
	"net/netip"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Change is one line of a Service's history.
type Change struct {
	At   time.Time
	Addr netip.Addr
	// What happened, for people.
	What string
}

// Bounds of the annotation: the last changes, as long as they fit.
const (
	maxChanges = 10
	maxHistory = 1024
	maxWhat    = 160
)

// History reads the annotation of that name, the last change first. What cannot be read is left out.
func History(text string) []Change {
	var out []Change
	for line := range strings.SplitSeq(text[:min(len(text), 2*maxHistory)], "\n") {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(f) < 3 || len(out) == maxChanges {
			continue
		}
		at, err := time.Parse(time.RFC3339, f[0])
		a, bad := netip.ParseAddr(f[1])
		if err == nil && bad == nil {
			out = append(out, Change{at, a, f[2]})
		}
	}
	return out
}

// Note adds a change to an object's history, and forgets what is too much. It survives events, which are gone after an hour.
func Note(o metav1.Object, c Change) {
	var lines []string
	size := 0
	for _, c := range append([]Change{c}, History(o.GetAnnotations()[AnnotationHistory])...) {
		what := strings.Join(strings.Fields(c.What), " ")
		line := c.At.UTC().Format(time.RFC3339) + " " + c.Addr.String() + " " + what[:min(len(what), maxWhat)]
		if size += len(line) + 1; size > maxHistory || len(lines) == maxChanges {
			break
		}
		lines = append(lines, line)
	}
	Annotate(o, AnnotationHistory, strings.Join(lines, "\n"))
}
