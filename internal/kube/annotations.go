package kube

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// Annotations on Services, read and written.
const (
	// AnnotationPool names the pool that the addresses must come from.
	AnnotationPool = "fairlead.io/pool"
	// AnnotationIPs lists the addresses that the Service insists on, separated by commas.
	AnnotationIPs = "fairlead.io/ips"
	// AnnotationSharingKey is what Services have in common that share addresses.
	AnnotationSharingKey = "fairlead.io/sharing-key"
	// AnnotationClaim names the IPClaim, of the same namespace, whose addresses the Service uses.
	AnnotationClaim = "fairlead.io/claim"
	// AnnotationAllocatedFrom is written: the pools that the addresses came from.
	AnnotationAllocatedFrom = "fairlead.io/allocated-from"
	// AnnotationAnnouncers is written: which node announces each address, and which would next: see Announcers.
	AnnotationAnnouncers = "fairlead.io/announcers"
)

// Annotations of ours, and those of other implementations that mean the same.
// The first that is present counts.
var (
	poolKeys = []string{
		AnnotationPool,
		"metallb.io/address-pool", "metallb.universe.tf/address-pool",
		"purelb.io/service-group",
	}
	ipsKeys = []string{
		AnnotationIPs,
		"metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs",
		"kube-vip.io/loadbalancerIPs", "lbipam.cilium.io/ips", "purelb.io/addresses",
	}
	sharingKeys = []string{
		AnnotationSharingKey,
		"metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip",
		"lbipam.cilium.io/sharing-key",
	}
)

// Annotate sets an annotation, or removes it where the value is empty.
func Annotate(o metav1.Object, key, value string) {
	all := o.GetAnnotations()
	if value == "" {
		delete(all, key)
		return
	}
	if all == nil {
		all = map[string]string{}
	}
	all[key] = value
	o.SetAnnotations(all)
}

func first(annotations map[string]string, keys []string) (key, value string, ok bool) {
	for _, k := range keys {
		if v, present := annotations[k]; present {
			return k, strings.TrimSpace(v), true
		}
	}
	return "", "", false
}

// request reads what a Service asks for: a pool, addresses, or a claim, which says both.
func request(svc *corev1.Service) (pool string, ips []netip.Addr, claim string, err error) {
	if claim, claims := svc.Annotations[AnnotationClaim]; claims {
		return "", nil, claim, checkClaim(svc.Annotations, claim)
	}
	key, pool, named := first(svc.Annotations, poolKeys)
	if named && pool == "" {
		return "", nil, "", fmt.Errorf("annotation %s is empty: name a pool, or remove it", key)
	}
	key, list, listed := first(svc.Annotations, ipsKeys)
	if !listed {
		if svc.Spec.LoadBalancerIP == "" {
			return pool, nil, "", nil
		}
		key, list = "spec.loadBalancerIP", svc.Spec.LoadBalancerIP
	} else {
		key = "annotation " + key
	}
	ips, err = parseIPs(list)
	if err != nil {
		return "", nil, "", fmt.Errorf("%s: %w", key, err)
	}
	return pool, ips, "", nil
}

func checkClaim(annotations map[string]string, claim string) error {
	if errs := validation.IsDNS1123Subdomain(claim); errs != nil {
		return fmt.Errorf("annotation %s: %q is not the name of an IPClaim in the Service's namespace", AnnotationClaim, claim)
	}
	for _, k := range []string{AnnotationIPs, AnnotationPool} {
		if _, present := annotations[k]; present {
			return fmt.Errorf("annotation %s: the IPClaim says which addresses; remove annotation %s", AnnotationClaim, k)
		}
	}
	return nil
}

// parseIPs reads a comma list of at most one IPv4 and one IPv6 address.
func parseIPs(list string) ([]netip.Addr, error) {
	var out []netip.Addr
	seen := map[v1beta1.IPFamily]bool{}
	for part := range strings.SplitSeq(list, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IP address", strings.TrimSpace(part))
		}
		a = a.Unmap()
		f := familyOf(a)
		if seen[f] {
			return nil, fmt.Errorf("%q has more than one %s address", list, f)
		}
		seen[f] = true
		out = append(out, a)
	}
	return out, nil
}

func familyOf(a netip.Addr) v1beta1.IPFamily {
	if a.Is4() {
		return v1beta1.IPv4
	}
	return v1beta1.IPv6
}
