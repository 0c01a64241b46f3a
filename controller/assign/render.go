package assign

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// render puts a decision into a Service: addresses, condition and the annotation that names the pool of each, as far as it belongs to
// one. What others own is left as it is.
func render(svc *corev1.Service, d ipam.Decision, from map[netip.Addr]string, now time.Time) {
	pools := names(d.Addresses, from)
	if d.Foreign {
		kube.Annotate(svc, kube.AnnotationAllocatedFrom, "") // an old mark names other addresses
	} else {
		if len(less(addresses(svc), d.Addresses)) > 0 { // the speakers say what there is to say of the others
			meta.RemoveStatusCondition(&svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict)
		}
		svc.Status.LoadBalancer.Ingress = ingress(svc.Status.LoadBalancer.Ingress, d.Addresses)
		mark(svc, d.Addresses, from)
	}
	if len(d.Addresses) == 0 && !d.Foreign {
		meta.RemoveStatusCondition(&svc.Status.Conditions, v1beta1.ServiceConditionAnnounced)
		meta.RemoveStatusCondition(&svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict)
		kube.Annotate(svc, kube.AnnotationInUse, "")
	}
	meta.SetStatusCondition(&svc.Status.Conditions, metav1.Condition{
		Type:               v1beta1.ServiceConditionAssigned,
		Status:             status(d),
		Reason:             string(d.Reason),
		Message:            message(d, pools),
		ObservedGeneration: svc.Generation,
		LastTransitionTime: metav1.NewTime(now),
	})
}

// unrender removes the annotation and the conditions that Fairlead writes.
func unrender(svc *corev1.Service) {
	for _, key := range kube.Written {
		kube.Annotate(svc, key, "")
	}
	dropConditions(svc)
}

// dropConditions removes the conditions that Fairlead writes.
func dropConditions(svc *corev1.Service) {
	meta.RemoveStatusCondition(&svc.Status.Conditions, v1beta1.ServiceConditionAssigned)
	meta.RemoveStatusCondition(&svc.Status.Conditions, v1beta1.ServiceConditionAnnounced)
	meta.RemoveStatusCondition(&svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict)
}

// ingress returns the entries for addresses; those that are there already keep
// fields that a newer Kubernetes may have added.
func ingress(before []corev1.LoadBalancerIngress, addrs []netip.Addr) []corev1.LoadBalancerIngress {
	var out []corev1.LoadBalancerIngress
	vip := corev1.LoadBalancerIPModeVIP
	for _, a := range addrs {
		entry := corev1.LoadBalancerIngress{IP: a.String()}
		if i := slices.IndexFunc(before, func(b corev1.LoadBalancerIngress) bool { return b.IP == entry.IP }); i >= 0 {
			entry = *before[i].DeepCopy()
		}
		entry.IPMode = &vip
		out = append(out, entry)
	}
	return out
}

// noPool is in place of a pool's name where an address had left its pool before it was shown. Without a mark it would be taken for
// another implementation's after a restart.
const noPool = "none"

// mark notes which addresses Fairlead has assigned, and from which pools. Those that belong to no pool any more keep what was noted.
func mark(svc *corev1.Service, has []netip.Addr, from map[netip.Addr]string) {
	before, after := kube.AllocatedFrom(svc), map[netip.Addr]string{}
	for _, a := range has {
		after[a] = cmp.Or(from[a], before[a], noPool)
	}
	kube.Annotate(svc, kube.AnnotationAllocatedFrom, kube.AllocatedFromText(after))
}

// names returns the pools that addresses came from, in order, each once.
func names(has []netip.Addr, from map[netip.Addr]string) (out []string) {
	for _, a := range has {
		if p := from[a]; p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func addresses(svc *corev1.Service) []netip.Addr {
	addrs, _ := kube.Shown(svc)
	return addrs
}

func status(d ipam.Decision) metav1.ConditionStatus {
	if len(d.Addresses) > 0 {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// message says what the Service has, and what it lacks.
func message(d ipam.Decision, pools []string) string {
	if len(d.Addresses) == 0 {
		return d.Message
	}
	has := join(d.Addresses)
	if len(pools) > 0 {
		has += " from pool " + strings.Join(pools, ", ")
	}
	if d.Reason == ipam.Assigned {
		return has
	}
	return has + "; " + d.Message
}

func join(addrs []netip.Addr) string { return strings.Join(texts(addrs), ", ") }

func texts(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}
