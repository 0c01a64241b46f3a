package kube

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
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
	// AnnotationAllocatedFrom is written: which addresses were assigned, and from which pools: see AllocatedFrom.
	AnnotationAllocatedFrom = "fairlead.io/allocated-from"
	// AnnotationAdopted is written: which addresses another implementation had assigned, and what the Service asked for then by
	// the annotations of others.
	AnnotationAdopted = "fairlead.io/adopted"
	// AnnotationAnnouncers is written: which node announces each address, and which would next: see Announcers.
	AnnotationAnnouncers = "fairlead.io/announcers"
	// AnnotationInUse is written: which addresses have been announced.
	AnnotationInUse = "fairlead.io/in-use"
	// AnnotationHistory is written: what happened to the addresses last, and when: see History.
	AnnotationHistory = "fairlead.io/history"
)

// Written are the annotations of Services that Fairlead writes.
var Written = []string{AnnotationAllocatedFrom, AnnotationAdopted, AnnotationAnnouncers, AnnotationInUse, AnnotationHistory}

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
	all := o.GetAnnotations() // a copy, where the object is unstructured
	switch {
	case value == "":
		delete(all, key)
	case all == nil:
		all = map[string]string{key: value}
	default:
		all[key] = value
	}
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

// request reads what a Service asks for: a pool, addresses, or a claim, which says both. A request that cannot be read is
// Invalid; it still names its claim and its sharing key, so far as they can be read.
func (s *Service) request(svc *corev1.Service) {
	var errs []error
	_, s.Sharing, _ = first(svc.Annotations, sharingKeys)
	if len(s.Sharing) > maxValue {
		errs = append(errs, fmt.Errorf("the sharing key has more than %d bytes", maxValue))
		s.Sharing = ""
	}
	if claim, claims := svc.Annotations[AnnotationClaim]; claims {
		if len(validation.IsDNS1123Subdomain(claim)) > 0 {
			errs = append(errs, fmt.Errorf("annotation %s: %s is not the name of an IPClaim in the Service's namespace", AnnotationClaim, quote(claim)))
		} else {
			s.Claim = claim
		}
		for _, k := range []string{AnnotationIPs, AnnotationPool} {
			if _, present := svc.Annotations[k]; present {
				errs = append(errs, fmt.Errorf("annotation %s: the IPClaim says which addresses; remove annotation %s", AnnotationClaim, k))
			}
		}
	} else {
		errs = append(errs, s.wants(svc))
	}
	if err := errors.Join(errs...); err != nil {
		s.Pool, s.IPs, s.Invalid = "", nil, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	s.adopted(svc)
}

// wants reads which pool and which addresses a Service asks for.
func (s *Service) wants(svc *corev1.Service) error {
	poolKey, pool, named := first(svc.Annotations, poolKeys)
	if named && len(validation.IsDNS1123Subdomain(pool)) > 0 {
		return fmt.Errorf("annotation %s: %s is not the name of a pool: name one, or remove the annotation", poolKey, quote(pool))
	}
	s.Pool = pool
	ipsKey, list, listed := first(svc.Annotations, ipsKeys)
	if what := "annotation " + ipsKey; listed || svc.Spec.LoadBalancerIP != "" {
		if !listed {
			what, ipsKey, list = loadBalancerIP, loadBalancerIP, svc.Spec.LoadBalancerIP
		}
		var err error
		if s.IPs, err = parseIPs(list); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if poolKey != AnnotationPool && ipsKey != AnnotationIPs {
		s.Asked = strings.TrimSpace(asked(poolKey, pool) + " " + asked(ipsKey, list))
	}
	return nil
}

const loadBalancerIP = "spec.loadBalancerIP"

// AskedBy returns by what a Service asks for a pool and for addresses: the keys of annotations, or spec.loadBalancerIP; empty where it
// does not.
func AskedBy(svc *corev1.Service) (pool, ips string) {
	pool, _, _ = first(svc.Annotations, poolKeys)
	ips, _, listed := first(svc.Annotations, ipsKeys)
	if !listed && svc.Spec.LoadBalancerIP != "" {
		ips = loadBalancerIP
	}
	return pool, ips
}

func asked(key, value string) string {
	if key == "" {
		return ""
	}
	return key + "=" + value
}

// adopted reads what was noted when addresses of another implementation were adopted.
func (s *Service) adopted(svc *corev1.Service) {
	noted, known := svc.Annotations[AnnotationAdopted]
	if !known {
		s.Prior = s.Asked != "" && !s.Marked && len(s.Shown) > 0
		return
	}
	list, request, _ := strings.Cut(noted, ";")
	for _, a := range parseAll(strings.Split(list[:min(len(list), maxValue)], ",")) {
		if slices.Contains(s.Shown, a) {
			s.Adopted = append(s.Adopted, a)
		}
	}
	s.Prior = s.Asked != "" && strings.TrimSpace(request) == s.Asked
}

// NoteAdopted notes on a Service which addresses of another implementation it goes on having, and what it asked for then:
// the request is followed once it changes.
func NoteAdopted(svc *corev1.Service, s *Service, has []netip.Addr) {
	kept := s.Adopted
	if !s.Marked {
		kept = s.Shown
	}
	kept = slices.DeleteFunc(slices.Clone(kept), func(a netip.Addr) bool { return !slices.Contains(has, a) })
	text := texts(kept)
	if text != "" && s.Prior {
		text += "; " + s.Asked
	}
	Annotate(svc, AnnotationAdopted, text)
}

func texts(addrs []netip.Addr) string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return strings.Join(out, ",")
}

// maxValue is how many bytes of an annotation's value are of use: what a tenant writes has a bound.
const maxValue = 253

// quote quotes what a tenant has written, as far as a message has room for it.
func quote(value string) string {
	const most = 64
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return strconv.Quote(value)
}

// parseIPs reads a comma list of at most one IPv4 and one IPv6 address.
func parseIPs(list string) ([]netip.Addr, error) {
	var out []netip.Addr
	seen := map[v1beta1.IPFamily]bool{}
	for part := range strings.SplitSeq(list, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("%s is not an IP address", quote(strings.TrimSpace(part)))
		}
		a = a.Unmap()
		f := familyOf(a)
		if seen[f] {
			return nil, fmt.Errorf("%s has more than one %s address", quote(list), f)
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
