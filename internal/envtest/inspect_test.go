//go:build linux

package envtest

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// membersOf lists the addresses of a pool, which must be few, in the slow and obvious way.
func membersOf(p *v1beta1.IPAddressPool) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	each := func(entries []string, in bool) {
		for _, e := range entries {
			if prefix, err := netip.ParsePrefix(e); err == nil {
				for a := prefix.Addr(); prefix.Contains(a); a = a.Next() {
					out[a] = in
				}
				continue
			}
			first, last, ok := strings.Cut(e, "-")
			if !ok {
				last = first
			}
			for a := netip.MustParseAddr(first); a.Compare(netip.MustParseAddr(last)) <= 0; a = a.Next() {
				out[a] = in
			}
		}
	}
	each(p.Spec.Addresses, true)
	each(p.Spec.Exclude, false)
	for a, in := range out {
		if !in {
			delete(out, a)
		}
	}
	return out
}

func assignable(p *v1beta1.IPAddressPool, a netip.Addr) bool {
	last := a.AsSlice()[len(a.AsSlice())-1]
	return membersOf(p)[a] && !(p.Spec.AvoidBuggyIPs && a.Is4() && (last == 0 || last == 255))
}

// scene is everything as the API server has it in a quiet moment.
type scene struct {
	services []corev1.Service
	labels   map[string]map[string]string // of namespaces
	pools    []v1beta1.IPAddressPool      // oldest first
	good     map[string]bool              // accepted pools, by an overlap check of our own
	holders  map[netip.Addr][]kube.Service
}

// inspect reads everything and checks all that must hold when nothing changes.
func (h *history) inspect() {
	h.Helper()
	var services corev1.ServiceList
	var pools v1beta1.IPAddressPoolList
	var list corev1.NamespaceList
	ctx := h.Context()
	h.must(errors.Join(h.api.List(ctx, &services), h.api.List(ctx, &pools), h.api.List(ctx, &list)))
	sc := &scene{pools: pools.Items, labels: map[string]map[string]string{}, good: map[string]bool{}, holders: map[netip.Addr][]kube.Service{}}
	for i := range list.Items {
		sc.labels[list.Items[i].Name] = list.Items[i].Labels
	}
	for i := range services.Items {
		if svc := &services.Items[i]; slices.Contains(namespaces, svc.Namespace) {
			sc.services = append(sc.services, *svc)
		}
	}
	slices.SortFunc(sc.pools, func(a, b v1beta1.IPAddressPool) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	faults := sc.checkPools()
	for i := range sc.services {
		faults = append(faults, sc.checkShown(&sc.services[i])...)
	}
	for i := range sc.services {
		if f := sc.checkPending(&sc.services[i]); f != "" {
			faults = append(faults, fmt.Sprintf("Service %s: %s", sc.services[i].Name, f))
		}
	}
	faults = append(faults, sc.checkCounts()...)
	for _, f := range faults {
		h.Errorf("in a quiet moment: %s", f)
	}
}

// checkPools judges who is accepted: whoever has no address of an older one that is active, and some left. Of the others, what was last
// accepted stays active if it can; that becomes the spec here.
func (sc *scene) checkPools() []string {
	var faults []string
	taken := map[netip.Addr]bool{}
	judge := func(p *v1beta1.IPAddressPool) string {
		usable, overlaps := false, false
		for a := range membersOf(p) {
			usable, overlaps = usable || assignable(p, a), overlaps || taken[a]
		}
		switch {
		case !usable:
			return "NoAddresses"
		case overlaps:
			return "Overlap"
		default:
			return "Accepted"
		}
	}
	for i := range sc.pools {
		p := &sc.pools[i]
		want := judge(p)
		sc.good[p.Name] = want == "Accepted"
		if former := p.Status.AcceptedSpec; want != "Accepted" && former != nil {
			as := p.DeepCopy()
			as.Spec = *former
			if judge(as) == "Accepted" {
				p.Spec, sc.good[p.Name] = *former, true
			}
		}
		if sc.good[p.Name] {
			for a := range membersOf(p) {
				taken[a] = true
			}
		}
		c := meta.FindStatusCondition(p.Status.Conditions, v1beta1.ConditionAccepted)
		if c == nil || c.Reason != want || (c.Status == "True") != (want == "Accepted") || c.ObservedGeneration != p.Generation {
			faults = append(faults, fmt.Sprintf("pool %s of generation %d: condition is %v, want %s", p.Name, p.Generation, c, want))
		}
	}
	return faults
}

// checkShown judges what a Service shows, and notes who shows what.
func (sc *scene) checkShown(svc *corev1.Service) []string {
	var faults []string
	faultf := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("Service %s: %s", svc.Name, fmt.Sprintf(format, args...)))
	}
	view := kube.ServiceOf(svc)
	if class := svc.Spec.LoadBalancerClass; class != nil && *class != kube.DefaultClass {
		if len(view.Shown) > 0 || len(svc.Status.Conditions) > 0 {
			faultf("is not ours, and was written to: %v", svc.Status)
		}
		return faults
	}
	for _, f := range faultsOf(svc) {
		faultf("%s", f)
	}
	from := map[netip.Addr]string{}
	orphaned := false
	for _, a := range view.Shown {
		for _, other := range sc.holders[a] {
			if !share(&view, &other) {
				faultf("shows %s, and so does %s", a, other.Name)
			}
		}
		sc.holders[a] = append(sc.holders[a], view)
		owner := sc.owner(a)
		if owner == "" {
			orphaned = true // nothing is taken without a replacement
		} else {
			from[a] = owner
		}
	}
	assigned := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAssigned)
	if orphaned && assigned != nil && assigned.Reason == "Assigned" {
		faultf("shows an address that is in no pool, and does not say so")
	}
	if want, got := kube.AllocatedFromText(from), svc.Annotations[kube.AnnotationAllocatedFrom]; want != got && !orphaned {
		faultf("%s is %q, want %q", kube.AnnotationAllocatedFrom, got, want)
	}
	if assigned != nil && assigned.Reason == "Assigned" {
		for _, a := range view.IPs {
			if !slices.Contains(view.Shown, a) {
				faultf("is said to have what it asks for, which is %v, and shows %v", view.IPs, view.Shown)
			}
		}
		// A pool that was deleted counts on for half a minute, and one that is refused as it was.
		if outside := func(a netip.Addr) bool { return !sc.in(view.Pool, a) }; sc.good[view.Pool] && slices.ContainsFunc(view.Shown, outside) {
			faultf("is said to have what it asks for, an address of %s, and has one of %v", view.Pool, from)
		}
	}
	return faults
}

// in reports whether a pool has an address, be it that another has it first.
func (sc *scene) in(pool string, a netip.Addr) bool {
	return slices.ContainsFunc(sc.pools, func(p v1beta1.IPAddressPool) bool { return p.Name == pool && membersOf(&p)[a] })
}

// owner is the pool that has an address: an accepted one rather than a refused one, then the oldest.
func (sc *scene) owner(a netip.Addr) string {
	for _, good := range []bool{true, false} {
		for i := range sc.pools {
			if p := &sc.pools[i]; sc.good[p.Name] == good && membersOf(p)[a] {
				return p.Name
			}
		}
	}
	return ""
}

// checkPending says whether a Service lacks what it could have.
func (sc *scene) checkPending(svc *corev1.Service) string {
	view := kube.ServiceOf(svc)
	class := svc.Spec.LoadBalancerClass
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || class != nil && *class != kube.DefaultClass || view.Invalid != "" {
		return ""
	}
	for _, a := range view.IPs {
		if !slices.Contains(view.Families, familyOf(a)) {
			return "" // cannot be had
		}
	}
	var missing, there []string
	for _, f := range svc.Spec.IPFamilies {
		if shownOf(svc, f) != "" {
			continue
		}
		missing = append(missing, string(f))
		if a := sc.free(svc, view, f); a.IsValid() {
			there = append(there, a.String())
		}
	}
	if len(there) == 0 || view.RequireAll && len(there) < len(missing) {
		return ""
	}
	return fmt.Sprintf("lacks %v, and could have %v: %v", missing, there, svc.Status.Conditions)
}

// free finds an address that a Service could have and nobody shows.
func (sc *scene) free(svc *corev1.Service, view kube.Service, f corev1.IPFamily) netip.Addr {
	for i := range sc.pools {
		p := &sc.pools[i]
		if !sc.good[p.Name] || !sc.admits(p, svc.Namespace) || view.Pool != "" && view.Pool != p.Name {
			continue
		}
		for a := range membersOf(p) {
			if _, taken := sc.holders[a]; taken || !assignable(p, a) || familyOf(a) != v1beta1.IPFamily(f) {
				continue
			}
			wanted := slices.IndexFunc(view.IPs, func(w netip.Addr) bool { return familyOf(w) == familyOf(a) })
			switch {
			case wanted >= 0 && view.IPs[wanted] == a, wanted < 0 && (view.Pool != "" || *p.Spec.AutoAssign):
				return a
			}
		}
	}
	return netip.Addr{}
}

func (sc *scene) admits(p *v1beta1.IPAddressPool, namespace string) bool {
	a := p.Spec.ServiceAllocation
	if a == nil || len(a.Namespaces) == 0 && len(a.NamespaceSelectors) == 0 {
		return true
	}
	return slices.Contains(a.Namespaces, namespace) || len(a.NamespaceSelectors) > 0 && sc.labels[namespace]["tier"] == "gold"
}

func familyOf(a netip.Addr) v1beta1.IPFamily {
	if a.Is4() {
		return v1beta1.IPv4
	}
	return v1beta1.IPv6
}

// checkCounts compares the counts of pools with what Services show.
func (sc *scene) checkCounts() []string {
	var faults []string
	for i := range sc.pools {
		p := &sc.pools[i]
		var want [4]int64 // assigned and total, of IPv4 and of IPv6
		for a := range membersOf(p) {
			at := 0
			if !a.Is4() {
				at = 2
			}
			if _, held := sc.holders[a]; held && sc.owner(a) == p.Name {
				want[at]++
			}
			if assignable(p, a) {
				want[at+1]++
			}
		}
		st := p.Status
		if got := [4]int64{st.AssignedIPv4, st.TotalIPv4, st.AssignedIPv6, st.TotalIPv6}; got != want {
			faults = append(faults, fmt.Sprintf("pool %s counts %v assigned and in total, by family; want %v", p.Name, got, want))
		}
	}
	return faults
}
