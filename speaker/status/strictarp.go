package status

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// ARP is how the kernel of a node answers ARP.
type ARP struct {
	// IPVS: kube-proxy has the addresses of Services on an interface of the node. Lenient are then the interfaces
	// on which the kernel answers for them all the same, sorted.
	IPVS    bool
	Lenient []string
}

// Reasons of the condition StrictARP.
const (
	reasonStrict    = "Strict"
	reasonNotStrict = "NotStrict"
)

// renderARP puts into conditions how the kernel answers ARP, and returns the events of that. What is not
// known yet leaves what was said before.
func renderARP(conditions *[]metav1.Condition, a *ARP) []event {
	switch {
	case a == nil:
		return nil
	case !a.IPVS:
		meta.RemoveStatusCondition(conditions, v1beta1.ConditionStrictARP)
		return nil
	}
	before := reasonOf(meta.FindStatusCondition(*conditions, v1beta1.ConditionStrictARP))
	c := strictARP(a.Lenient)
	if meta.SetStatusCondition(conditions, c); c.Reason != reasonNotStrict || before == reasonNotStrict {
		return nil
	}
	return []event{{corev1.EventTypeWarning, reasonNotStrict, c.Message}}
}

func strictARP(lenient []string) metav1.Condition {
	c := metav1.Condition{
		Type: v1beta1.ConditionStrictARP, Status: metav1.ConditionTrue, Reason: reasonStrict,
		Message: "the kernel leaves ARP requests for the addresses of Services to the speakers",
	}
	if len(lenient) > 0 {
		c.Status, c.Reason = metav1.ConditionFalse, reasonNotStrict
		c.Message = "kube-proxy is in mode ipvs, and the kernel of this node answers ARP requests for the addresses of all Services, on " +
			few(lenient) + ": set ipvs.strictARP: true in the configuration of kube-proxy, and restart it"
	}
	return c
}

// few joins some names, and tells whether there are more.
func few(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + " and others"
}
