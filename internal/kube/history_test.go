package kube

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
)

// TestHistory: the last changes are kept, in their order, however many and long they are, and whatever else is written there.
func TestHistory(t *testing.T) {
	a, start := netip.MustParseAddr("2001:db8::1"), time.Date(2026, 11, 30, 4, 0, 0, 0, time.UTC)
	svc := &corev1.Service{}
	for i := range 100 {
		Note(svc, Change{start.Add(time.Duration(i) * time.Minute), a, fmt.Sprintf("moved from node-%d\nto node-%d", i, i+1)})
		got := History(svc.Annotations[AnnotationHistory])
		for j, c := range got {
			want := Change{start.Add(time.Duration(i-j) * time.Minute), a, fmt.Sprintf("moved from node-%d to node-%d", i-j, i-j+1)}
			if diff := cmp.Diff(want, c, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Fatalf("change %d of %d (-want +got):\n%s", j, i, diff)
			}
		}
		if len(got) != min(i+1, maxChanges) {
			t.Fatalf("%d changes after %d", len(got), i+1)
		}
	}
	for range 20 {
		Note(svc, Change{start, a, strings.Repeat("long ", 1000)})
	}
	if text := svc.Annotations[AnnotationHistory]; len(text) > maxHistory || len(History(text)) < 3 {
		t.Errorf("%d bytes, %d changes", len(text), len(History(text)))
	}
	svc.Annotations[AnnotationHistory] = "nonsense\n2026-11-30T04:00:00Z 192.0.2.1\n2026-11-30T04:00:00Z 192.0.2.1 assigned\nyesterday 192.0.2.1 lost\n" + strings.Repeat("x", 1<<20)
	if got := History(svc.Annotations[AnnotationHistory]); len(got) != 1 || got[0].What != "assigned" {
		t.Errorf("read %v", got)
	}
}
