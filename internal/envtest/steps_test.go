//go:build linux

package envtest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// A step of a story does something, or says what must be so.
type step func(*stage)

type (
	poolOption    func(*v1beta1.IPAddressPool)
	serviceOption func(*corev1.Service)
)

// pool creates a pool of entries separated by spaces.
func pool(name, addresses string, options ...poolOption) step {
	return func(s *stage) {
		s.Helper()
		p := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
		p.Spec.Addresses = strings.Fields(addresses)
		for _, o := range options {
			o(p)
		}
		s.must(s.api.Create(s.Context(), p))
	}
}

// editPool changes a pool as an operator would.
func editPool(name string, change poolOption) step {
	return func(s *stage) {
		s.Helper()
		var p v1beta1.IPAddressPool
		s.must(s.api.Get(s.Context(), client.ObjectKey{Name: name}, &p))
		before := p.DeepCopy()
		change(&p)
		s.must(s.api.Patch(s.Context(), &p, client.MergeFrom(before)))
	}
}

func removePool(name string) step {
	return func(s *stage) {
		s.Helper()
		s.must(s.api.Delete(s.Context(), &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
}

func advertisement(name string, pools ...string) step {
	return func(s *stage) {
		s.Helper()
		s.must(s.api.Create(s.Context(), &v1beta1.L2Advertisement{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1beta1.L2AdvertisementSpec{IPAddressPools: pools},
		}))
	}
}

func addresses(list string) poolOption {
	return func(p *v1beta1.IPAddressPool) { p.Spec.Addresses = strings.Fields(list) }
}

func exclude(list string) poolOption {
	return func(p *v1beta1.IPAddressPool) { p.Spec.Exclude = strings.Fields(list) }
}

func onlyOnRequest(p *v1beta1.IPAddressPool) { no := false; p.Spec.AutoAssign = &no }

func forNamespaces(label string) poolOption {
	return func(p *v1beta1.IPAddressPool) {
		p.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{
			NamespaceSelectors: []v1beta1.LabelSelector{{MatchLabels: map[string]string{label: ""}}},
		}
	}
}

func priority(n int32) poolOption {
	return func(p *v1beta1.IPAddressPool) { p.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{Priority: n} }
}

// service creates a Service, of type LoadBalancer unless an option says otherwise.
func service(name string, options ...serviceOption) step {
	return func(s *stage) {
		s.Helper()
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name}, Spec: loadBalancer()}
		for _, o := range options {
			o(svc)
		}
		status := svc.Status
		s.must(s.api.Create(s.Context(), svc))
		if len(status.LoadBalancer.Ingress) > 0 || len(status.Conditions) > 0 {
			before := svc.DeepCopy()
			svc.Status = status
			s.must(s.api.Status().Patch(s.Context(), svc, client.MergeFrom(before))) // a controller may have written meanwhile
		}
	}
}

// edit changes a Service as a user would.
func edit(name string, options ...serviceOption) step {
	return func(s *stage) {
		s.Helper()
		svc := s.get(name)
		before := svc.DeepCopy()
		for _, o := range options {
			o(svc)
		}
		s.must(s.api.Patch(s.Context(), svc, client.MergeFrom(before)))
	}
}

// editStatus changes the status of a Service as another controller would.
func editStatus(name string, options ...serviceOption) step {
	return func(s *stage) {
		s.Helper()
		svc := s.get(name)
		before := svc.DeepCopy()
		for _, o := range options {
			o(svc)
		}
		s.must(s.api.Status().Patch(s.Context(), svc, client.MergeFrom(before)))
	}
}

// contested has speakers tell that a conflicting host uses an address of a Service which is not announced yet.
func contested(name, ip string) step {
	return func(s *stage) {
		s.Helper()
		conflict := kube.Conflict{Addr: netip.MustParseAddr(ip), MAC: "02:00:00:00:00:99", Node: "node-1", Link: "eth0", Before: true}
		editStatus(name, func(svc *corev1.Service) {
			c := kube.ConflictCondition([]kube.Conflict{conflict}, svc.Generation)
			c.LastTransitionTime = metav1.Now()
			svc.Status.Conditions = append(svc.Status.Conditions, c)
		})(s)
		s.reports(name, conflict)
	}
}

// reports has a speaker report a conflict of a Service, besides those of other addresses that it has reported.
func (s *stage) reports(name string, c kube.Conflict) {
	s.Helper()
	status := &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: "speaker-" + s.ns}}
	if err := s.api.Create(s.Context(), status); err != nil {
		s.must(s.api.Get(s.Context(), client.ObjectKeyFromObject(status), status))
	}
	before := status.DeepCopy()
	status.Status.Conflicts = append(slices.DeleteFunc(status.Status.Conflicts, func(o v1beta1.AddressConflict) bool { return o.Address == c.Addr.String() }), v1beta1.AddressConflict{
		Address: c.Addr.String(), Namespace: s.ns, Service: name, MAC: c.MAC, Interface: c.Link, BeforeUse: c.Before,
	})
	s.must(s.api.Status().Patch(s.Context(), status, client.MergeFrom(before)))
}

// conflicts checks whether a Service has the condition.
func conflicts(name string, want bool) step {
	return func(s *stage) {
		s.Helper()
		if got := meta.FindStatusCondition(s.get(name).Status.Conditions, v1beta1.ServiceConditionAddressConflict); (got != nil) != want {
			s.Errorf("Service %s: condition of conflicts is %v", name, got)
		}
	}
}

func remove(name string) step {
	return func(s *stage) {
		s.Helper()
		s.must(s.api.Delete(s.Context(), s.get(name)))
	}
}

// claim creates an IPClaim that asks for any IPv4 address.
func claim(name string) step {
	return func(s *stage) {
		s.Helper()
		s.must(s.api.Create(s.Context(), &v1beta1.IPClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name}}))
		s.settle(briefly)
	}
}

func removeClaim(name string) step {
	return func(s *stage) {
		s.Helper()
		s.must(s.api.Delete(s.Context(), &v1beta1.IPClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name}}))
	}
}

func claiming(name string) serviceOption { return annotated(kube.AnnotationClaim, name) }

func sharing(key string) serviceOption { return annotated(kube.AnnotationSharingKey, key) }

func port(n int32) serviceOption { return func(svc *corev1.Service) { svc.Spec.Ports[0].Port = n } }

func annotated(key, value string) serviceOption {
	return func(svc *corev1.Service) { metav1.SetMetaDataAnnotation(&svc.ObjectMeta, key, value) }
}

func without(key string) serviceOption {
	return func(svc *corev1.Service) { delete(svc.Annotations, key) }
}

func asking(ips string) serviceOption { return annotated(kube.AnnotationIPs, ips) }

func fromPool(name string) serviceOption { return annotated(kube.AnnotationPool, name) }

func class(name string) serviceOption {
	return func(svc *corev1.Service) { svc.Spec.LoadBalancerClass = &name }
}

func ofType(t corev1.ServiceType) serviceOption {
	return func(svc *corev1.Service) { svc.Spec.Type = t }
}

func families(policy corev1.IPFamilyPolicy, list ...corev1.IPFamily) serviceOption {
	return func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy, svc.Spec.IPFamilies = &policy, list }
}

func showing(ips ...string) serviceOption {
	return func(svc *corev1.Service) {
		svc.Status.LoadBalancer.Ingress = nil
		for _, ip := range ips {
			svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
		}
	}
}

// has says which addresses a Service shows, and that it is told to have all that it asked for.
func has(name string, ips ...string) step {
	return func(s *stage) { s.Helper(); s.shows(name, ips, "True Assigned") }
}

// partly says which addresses a Service shows, and why it has no more.
func partly(name, reason string, ips ...string) step {
	return func(s *stage) { s.Helper(); s.shows(name, ips, "True "+reason) }
}

// lacks says why a Service has no address.
func lacks(name, reason string) step {
	return func(s *stage) { s.Helper(); s.shows(name, nil, "False "+reason) }
}

// bare says that nothing is written to a Service.
func bare(name string) step {
	return func(s *stage) {
		s.Helper()
		s.shows(name, nil, "")
		if _, ok := s.get(name).Annotations[kube.AnnotationAllocatedFrom]; ok {
			s.Errorf("Service %s has %s still", name, kube.AnnotationAllocatedFrom)
		}
	}
}

// foreign says that what a Service shows is somebody else's, left as it is.
func foreign(name, reason string, ips ...string) step {
	return func(s *stage) { s.Helper(); s.shows(name, ips, "False "+reason) }
}

func (s *stage) shows(name string, ips []string, condition string) {
	s.Helper()
	s.settle(briefly)
	type view struct {
		IPs       []string
		Condition string
	}
	svc := s.get(name)
	var got view
	for _, in := range svc.Status.LoadBalancer.Ingress {
		got.IPs = append(got.IPs, in.IP)
	}
	if c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAssigned); c != nil {
		got.Condition = string(c.Status) + " " + c.Reason
	}
	if diff := cmp.Diff(view{ips, condition}, got); diff != "" {
		s.Errorf("Service %s (-want +got):\n%s%v", name, diff, svc.Status.Conditions)
	}
	if strings.HasPrefix(condition, "False") && len(ips) > 0 {
		return // somebody else's
	}
	for _, fault := range faultsOf(svc) {
		s.Errorf("Service %s: %s", name, fault)
	}
}

// faultsOf judges whether what is written to a Service that is served agrees with itself.
func faultsOf(svc *corev1.Service) []string {
	var faults []string
	faultf := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAssigned)
	from, marked := svc.Annotations[kube.AnnotationAllocatedFrom]
	shown := svc.Status.LoadBalancer.Ingress
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		if c != nil || marked || len(shown) > 0 {
			faultf("is no load balancer, but has condition %v, annotation %q, addresses %v", c, from, shown)
		}
		return faults
	}
	if c == nil {
		return append(faults, "has no condition")
	}
	if c.ObservedGeneration != svc.Generation {
		faultf("condition observed generation %d, and %d is current", c.ObservedGeneration, svc.Generation)
	}
	if at := c.LastTransitionTime.Time; at.Before(svc.CreationTimestamp.Time) || at.After(time.Now().Add(time.Second)) {
		faultf("condition changed at %s, the Service is from %s, and it is %s", at, svc.CreationTimestamp, time.Now())
	}
	if has := c.Status == metav1.ConditionTrue; has != (len(shown) > 0) || marked != has {
		faultf("condition %s, annotation %q and addresses %v do not agree", c.Status, from, shown)
	}
	if c.Message == "" {
		faultf("condition has no message")
	}
	for _, in := range shown {
		if in.IPMode == nil || *in.IPMode != corev1.LoadBalancerIPModeVIP {
			faultf("%s has ipMode %v", in.IP, in.IPMode)
		}
		if !strings.Contains(c.Message, in.IP) {
			faultf("message %q does not tell of %s", c.Message, in.IP)
		}
	}
	complete := !slices.ContainsFunc(svc.Spec.IPFamilies, func(f corev1.IPFamily) bool { return shownOf(svc, f) == "" })
	if c.Reason == "Assigned" && !complete {
		faultf("is said to have everything, and shows %v of %v", shown, svc.Spec.IPFamilies)
	}
	return faults
}

// shownOf returns the address of a family that a Service shows.
func shownOf(svc *corev1.Service, f corev1.IPFamily) string {
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil && a.Is4() == (f == corev1.IPv4Protocol) {
			return in.IP
		}
	}
	return ""
}

// leaves remembers that nobody may write to a Service, until untouched.
func leaves(name string) step {
	return func(s *stage) { s.Helper(); s.unserved[name] = s.get(name).ResourceVersion }
}

func untouched(name string) step {
	return func(s *stage) {
		s.Helper()
		s.settle(briefly)
		if was, is := s.unserved[name], s.get(name).ResourceVersion; was != is {
			s.Errorf("Service %s was written to: version %s, then %s", name, was, is)
		}
	}
}

// accepted says what the condition of a pool or advertisement is: "Accepted", or what is wrong.
func accepted(o client.Object, reason string) step {
	return func(s *stage) {
		s.Helper()
		s.settle(briefly)
		s.must(s.api.Get(s.Context(), client.ObjectKeyFromObject(o), o))
		var conditions []metav1.Condition
		switch o := o.(type) {
		case *v1beta1.IPAddressPool:
			conditions = o.Status.Conditions
		case *v1beta1.L2Advertisement:
			conditions = o.Status.Conditions
		}
		c := meta.FindStatusCondition(conditions, v1beta1.ConditionAccepted)
		switch want := map[bool]metav1.ConditionStatus{true: metav1.ConditionTrue, false: metav1.ConditionFalse}[reason == "Accepted"]; {
		case c == nil:
			s.Errorf("%T %s has no condition", o, o.GetName())
		case c.Status != want || c.Reason != reason:
			s.Errorf("%T %s: condition is %s %s (%s), want %s %s", o, o.GetName(), c.Status, c.Reason, c.Message, want, reason)
		case c.ObservedGeneration != o.GetGeneration() || c.Message == "":
			s.Errorf("%T %s of generation %d: condition is %v", o, o.GetName(), o.GetGeneration(), c)
		}
	}
}

func poolIs(name, reason string) step {
	return accepted(&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}}, reason)
}

func advertisementIs(name, reason string) step {
	return accepted(&v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name}}, reason)
}

// overlaps checks a pool's condition Overlapping, which takes nothing from Accepted.
func overlaps(name, reason string) step {
	return func(s *stage) {
		s.Helper()
		poolIs(name, "Accepted")(s)
		s.within(patience, "pool "+name+" is told of "+reason, func() error {
			var p v1beta1.IPAddressPool
			s.must(s.api.Get(s.Context(), client.ObjectKey{Name: name}, &p))
			c := meta.FindStatusCondition(p.Status.Conditions, v1beta1.ConditionOverlapping)
			if c == nil || c.Reason != reason || (c.Status == metav1.ConditionTrue) != (reason != "Distinct") {
				return fmt.Errorf("condition is %v", c)
			}
			return nil
		})
	}
}

// node creates a Node with an address and a pod network.
func node(name, address, pods string) step {
	return func(s *stage) {
		s.Helper()
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: pods, PodCIDRs: []string{pods}}}
		s.must(s.api.Create(s.Context(), n))
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
		s.must(s.api.Status().Update(s.Context(), n))
	}
}

func removeNode(name string) step {
	return func(s *stage) {
		s.Helper()
		s.must(s.api.Delete(s.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
}

// counts says how many addresses of a pool are assigned, available and there: of IPv4, then of IPv6.
func counts(name string, want ...int64) step {
	return func(s *stage) {
		s.Helper()
		s.settle(surely)
		var p v1beta1.IPAddressPool
		s.must(s.api.Get(s.Context(), client.ObjectKey{Name: name}, &p))
		st := p.Status
		if diff := cmp.Diff(want, []int64{st.AssignedIPv4, st.AvailableIPv4, st.TotalIPv4, st.AssignedIPv6, st.AvailableIPv6, st.TotalIPv6}); diff != "" {
			s.Errorf("counts of pool %s (-want +got):\n%s", name, diff)
		}
	}
}

// label sets a label of the stage's namespace.
func label(key string) step {
	return func(s *stage) {
		s.Helper()
		patch := fmt.Sprintf(`{"metadata":{"labels":{%q:""}}}`, key)
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.ns}}
		s.must(s.api.Patch(s.Context(), ns, client.RawPatch("application/merge-patch+json", []byte(patch))))
	}
}

func stopped(s *stage) { s.Helper(); s.stop() }

func started(args ...string) step { return func(s *stage) { s.Helper(); s.start(args...) } }

func killed(s *stage) { s.Helper(); s.ctl.kill(); s.ctl = nil }
