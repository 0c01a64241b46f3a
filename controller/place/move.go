package place

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// Move writes into the record of a Service that another node is to announce an address of it, which the speakers follow. It
// does nothing, and returns false, where the Service has the address no more, or another node announces it than when the
// move was chosen.
func Move(svc *corev1.Service, m announce.Move) bool {
	s := kube.ServiceOf(svc)
	record := s.Record()
	if r := record[m.Address]; !slices.Contains(s.Shown, m.Address) || len(r) > 0 && r[0] != m.From {
		return false
	}
	if record == nil {
		record = map[netip.Addr][]string{}
	}
	record[m.Address] = []string{m.To, m.From}
	kube.Annotate(svc, kube.AnnotationAnnouncers, kube.AnnouncersText(record))
	return true
}

// KeepsConnections reports whether all speakers say that connections that are open go on when an address moves.
func KeepsConnections(speakers []v1beta1.SpeakerStatus) bool {
	return len(speakers) > 0 && !slices.ContainsFunc(speakers, func(s v1beta1.SpeakerStatus) bool { return !keeps(&s) })
}

func keeps(s *v1beta1.SpeakerStatus) bool {
	return meta.IsStatusConditionTrue(s.Status.Conditions, v1beta1.ConditionKeepsConnections)
}
