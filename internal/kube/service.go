package kube

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// DefaultClass is the load balancer class that Fairlead serves by default.
const DefaultClass = "fairlead.io/lb"

// Class says which Services are ours.
type Class struct {
	// Names of the load balancer classes that are served.
	Names []string
	// Classless: Services of no class are served too.
	Classless bool
}

// NewClass returns the Class of a command line without flags.
func NewClass() Class { return Class{Names: []string{DefaultClass}, Classless: true} }

// ParseClasses reads the value of a flag: names of classes, separated by commas. A name is what Kubernetes accepts as
// spec.loadBalancerClass.
func ParseClasses(list string) ([]string, error) {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if errs := validation.IsQualifiedName(name); len(errs) > 0 {
			return nil, fmt.Errorf("load balancer class %q: want a name such as %s or lb: %s", name, DefaultClass, errs[0])
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// String says which Services are ours.
func (c Class) String() string {
	var parts []string
	for _, name := range c.Names {
		parts = append(parts, fmt.Sprintf("class %q", name))
	}
	if c.Classless {
		parts = append(parts, "Services without a class")
	}
	return strings.Join(parts, " and ")
}

// Serves reports whether a Service is ours: of type LoadBalancer, of our class
// or of none.
func (c Class) Serves(svc *corev1.Service) bool {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return false
	}
	if svc.Spec.LoadBalancerClass == nil {
		return c.Classless
	}
	return slices.Contains(c.Names, *svc.Spec.LoadBalancerClass)
}

// A Service is what Fairlead reads of a Service.
type Service struct {
	Namespace, Name string
	Labels          map[string]string
	Created         time.Time
	// Terminating: the Service is being deleted, but still there.
	Terminating bool
	// Families in the Service's order; none while it has no cluster IP.
	Families []v1beta1.IPFamily
	// RequireAll: ipFamilyPolicy is RequireDualStack.
	RequireAll bool
	// Local: externalTrafficPolicy is Local.
	Local bool

	// Pool and IPs, or Claim, are what the Service asks for; Invalid says why that cannot be read.
	Pool    string
	IPs     []netip.Addr
	Claim   string
	Invalid string
	// Asked is what it asks for by the annotations of other implementations alone, or by spec.loadBalancerIP, as text;
	// empty if it asks for nothing, or by an annotation of ours. Prior: it asked for the same when its addresses were
	// adopted, or they are not adopted yet.
	Asked string
	Prior bool
	// Sharing is the key that Services have in common that share addresses.
	Sharing string
	// Ports and Selector decide who may share; they are read of those that share.
	Ports    []Port
	Selector string

	// Shown are the addresses in its status, and Names its host names there.
	Shown []netip.Addr
	Names []string
	// Adopted are those of Shown that another implementation had assigned.
	Adopted []netip.Addr
	// Marked: what the Service shows was assigned by Fairlead for certain.
	Marked bool
	// Announcers is the annotation of that name; Record reads it.
	Announcers string
	// InUse are those of Shown that have been announced.
	InUse []netip.Addr
}

// ServiceOf reads a Service. The result shares nothing with it.
func ServiceOf(svc *corev1.Service) Service {
	s := Service{
		Namespace: svc.Namespace, Name: svc.Name,
		Labels:  maps.Clone(svc.Labels),
		Created: svc.CreationTimestamp.Time, Terminating: !svc.DeletionTimestamp.IsZero(),
		Local:  svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
		Marked: Marked(svc),
	}
	for _, f := range svc.Spec.IPFamilies {
		s.Families = append(s.Families, v1beta1.IPFamily(f))
	}
	if p := svc.Spec.IPFamilyPolicy; p != nil {
		s.RequireAll = *p == corev1.IPFamilyPolicyRequireDualStack
	}
	s.Shown, s.Names = Shown(svc)
	s.request(svc)
	if s.Sharing != "" || s.Claim != "" {
		s.Ports, s.Selector = portsOf(svc), labels.Set(svc.Spec.Selector).String()
	}
	s.Announcers = svc.Annotations[AnnotationAnnouncers]
	s.InUse = InUse(svc.Annotations[AnnotationInUse], s.Shown)
	return s
}

// Record says of each address of a Service which node is to announce it, and which is to next.
func (s *Service) Record() map[netip.Addr][]string { return Announcers(s.Announcers) }

// A Port is a protocol and a port that a Service is reached at.
type Port struct {
	Protocol string
	Number   uint16
}

func portsOf(svc *corev1.Service) []Port {
	out := make([]Port, 0, len(svc.Spec.Ports))
	for _, p := range svc.Spec.Ports {
		out = append(out, Port{string(cmp.Or(p.Protocol, corev1.ProtocolTCP)), uint16(p.Port)})
	}
	return out
}

// Shown reads the addresses and the host names in the status of a Service.
func Shown(svc *corev1.Service) (addrs []netip.Addr, names []string) {
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil {
			addrs = append(addrs, a.Unmap())
		} else {
			names = append(names, in.Hostname+in.IP)
		}
	}
	return addrs, names
}

// Marked reports whether Fairlead's controller seems to have assigned what a Service shows. It leaves two marks, so that a user who
// removes one does no harm: the annotation, and the condition, which does not name addresses by itself. A mark of other addresses is
// an old one: another implementation has served the Service since.
func Marked(svc *corev1.Service) bool {
	from := AllocatedFrom(svc)
	if len(from) == 0 {
		return assigned(svc)
	}
	shown, _ := Shown(svc)
	return len(shown) == 0 || slices.ContainsFunc(shown, func(a netip.Addr) bool { return from[a] != "" })
}

// AllocatedFrom reads from which pool each address was assigned.
func AllocatedFrom(svc *corev1.Service) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for a, pools := range Announcers(svc.Annotations[AnnotationAllocatedFrom]) {
		out[a] = pools[0]
	}
	return out
}

// AllocatedFromText writes what AllocatedFrom reads, sorted by address.
func AllocatedFromText(from map[netip.Addr]string) string {
	record := make(map[netip.Addr][]string, len(from))
	for a, pool := range from {
		record[a] = []string{pool}
	}
	return AnnouncersText(record)
}

// Touched reports whether Fairlead has written anything to a Service.
func Touched(svc *corev1.Service) bool {
	return annotated(svc) ||
		meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAssigned) != nil ||
		meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAnnounced) != nil ||
		meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAddressConflict) != nil
}

func annotated(svc *corev1.Service) bool {
	_, ok := svc.Annotations[AnnotationAllocatedFrom]
	return ok
}

func assigned(svc *corev1.Service) bool {
	return meta.IsStatusConditionTrue(svc.Status.Conditions, v1beta1.ServiceConditionAssigned)
}
