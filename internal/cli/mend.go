package cli

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/controller/conditions"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// apply is a command that makes an object.
func apply(kind, namespace, name string, spec map[string]any) string {
	metadata := map[string]any{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	object := map[string]any{"apiVersion": v1beta1.GroupVersion.String(), "kind": kind, "metadata": metadata, "spec": spec}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(object) //nolint:errchkjson // it has only what can be written
	return "echo '" + strings.TrimSpace(text.String()) + "' | kubectl apply -f -"
}

// on is a command about a Service.
func on(svc *corev1.Service, verb, args string) string {
	return fmt.Sprintf("kubectl -n %s %s service %s %s", svc.Namespace, verb, svc.Name, args)
}

// withdraw is a command that has a Service not ask for something any more.
func withdraw(svc *corev1.Service, key string) string {
	if !strings.Contains(key, "/") { // a field
		return on(svc, "patch", `--type=json -p '[{"op":"remove","path":"/`+strings.ReplaceAll(key, ".", "/")+`"}]'`)
	}
	return on(svc, "annotate", key+"-")
}

// mendRequest is what mends a Service that lacks an address, by the reason of its condition Assigned.
func (v *view) mendRequest(svc *corev1.Service, reason string) string {
	poolKey, ipsKey := kube.AskedBy(svc)
	s := kube.ServiceOf(svc)
	switch ipam.Reason(reason) {
	case ipam.InvalidRequest:
		return v.mendInvalid(svc)
	case ipam.NoPool:
		return v.mendNoPool(svc)
	case ipam.PoolNotFound, ipam.NotAdmitted:
		if poolKey != "" {
			return withdraw(svc, poolKey)
		}
	case ipam.PoolRefused:
		return "kubectl describe ipaddresspool " + s.Pool
	case ipam.FamilyMismatch, ipam.NotInPool, ipam.AddressInUse:
		if ipsKey != "" {
			return withdraw(svc, ipsKey)
		}
	case ipam.PoolExhausted:
		if p := v.offering(svc); p != nil {
			return fmt.Sprintf(`kubectl patch ipaddresspool %s --type=json -p '[{"op":"add","path":"/spec/addresses/-","value":"<range>"}]'`, p.Name)
		}
	case ipam.QuotaExceeded:
		if p := v.offering(svc); p != nil {
			return fmt.Sprintf(`kubectl patch ipaddresspool %s --type=merge -p '{"spec":{"namespaceQuota":%d}}'`, p.Name, p.Quota+1)
		}
	case ipam.ClaimNotFound:
		return apply("IPClaim", svc.Namespace, s.Claim, map[string]any{"families": s.Families})
	case ipam.ClaimPending:
		return fmt.Sprintf("kubectl -n %s describe ipclaim %s", svc.Namespace, s.Claim)
	case ipam.ForeignAddress:
		if len(s.Shown) > 0 {
			return pool("adopted", s.Shown[0])
		}
		return on(svc, "patch", `--subresource=status --type=merge -p '{"status":{"loadBalancer":null}}'`)
	case ipam.Assigned, ipam.AddressConflict:
	}
	return on(svc, "describe", "")
}

// mendInvalid finds the annotation without which the request could be read.
func (v *view) mendInvalid(svc *corev1.Service) string {
	for key := range svc.Annotations {
		without := svc.DeepCopy()
		delete(without.Annotations, key)
		if kube.ServiceOf(without).Invalid == "" {
			return withdraw(svc, key)
		}
	}
	if svc.Spec.LoadBalancerIP != "" {
		return withdraw(svc, "spec.loadBalancerIP")
	}
	return on(svc, "edit", "")
}

func (v *view) mendNoPool(svc *corev1.Service) string {
	if len(v.snapshot.Pools()) == 0 {
		return apply("IPAddressPool", "", "default", map[string]any{"addresses": []string{"<range>"}})
	}
	for _, p := range v.snapshot.Pools() {
		if !p.Refused && v.admits(p, svc) && slices.ContainsFunc(svc.Spec.IPFamilies, func(f corev1.IPFamily) bool { return p.Size(config.Family(f)) > 0 }) {
			return on(svc, "annotate", kube.AnnotationPool+"="+p.Name)
		}
	}
	return "kubectl edit ipaddresspool " + v.snapshot.Pools()[0].Name
}

// offering returns the first pool that would give a Service an address if it had one left: the one it asks for, or one that admits it.
func (v *view) offering(svc *corev1.Service) *config.Pool {
	if name := kube.ServiceOf(svc).Pool; name != "" {
		return v.snapshot.Pool(name)
	}
	for _, p := range v.snapshot.Pools() {
		if p.AutoAssign && !p.Refused && v.admits(p, svc) {
			return p
		}
	}
	return nil
}

// pool is a command that makes a pool of one address.
func pool(name string, a netip.Addr) string {
	return apply("IPAddressPool", "", name, map[string]any{"addresses": []string{netip.PrefixFrom(a, a.BitLen()).String()}})
}

// unset is a command that takes a field out of the spec of an object.
func unset(object, field string) string {
	return "kubectl patch " + object + ` --type=merge -p '{"spec":{"` + field + `":null}}'`
}

// setTo is a command that gives a field of the spec of an object other entries.
func setTo(object, field string, entries []string) string {
	if len(entries) == 0 {
		return unset(object, field)
	}
	return "kubectl patch " + object + ` --type=merge -p '{"spec":{"` + field + `":["` + strings.Join(entries, `","`) + `"]}}'`
}

// mendProblem is what mends an object that config has something to say of.
func (v *view) mendProblem(p config.Problem) string {
	object := strings.ToLower(string(p.Kind)) + " " + p.Name
	switch p.Reason {
	case config.Overlap:
		return v.mendOverlap(p.Name)
	case config.NodeAddress, config.PodNetwork, config.ServiceNetwork:
		return v.exclude(p.Name, v.reserved(p.Reason))
	case config.PoolNotFound:
		return v.mendMissing(p, object, "ipAddressPools", func(name string) bool { return v.snapshot.Pool(name) != nil })
	case config.PeerNotFound:
		return v.mendMissing(p, object, "peers", func(name string) bool { return v.snapshot.Peer(name) != nil })
	case config.ProfileNotFound:
		for i := range v.Peers.Items {
			if v.Peers.Items[i].Name == p.Name {
				return apply("BFDProfile", "", v.Peers.Items[i].Spec.BFDProfile, map[string]any{})
			}
		}
	default:
	}
	return "kubectl edit " + object
}

// mendMissing leaves out of a list what does not exist.
func (v *view) mendMissing(p config.Problem, object, field string, exists func(name string) bool) string {
	var all []string
	for i := range v.L2Advertisements.Items {
		if a := &v.L2Advertisements.Items[i]; p.Kind == config.L2Advertisement && a.Name == p.Name {
			all = a.Spec.IPAddressPools
		}
	}
	for i := range v.BGPAdvertisements.Items {
		if a := &v.BGPAdvertisements.Items[i]; p.Kind == config.BGPAdvertisementKind && a.Name == p.Name {
			all = map[string][]string{"ipAddressPools": a.Spec.IPAddressPools, "peers": a.Spec.Peers}[field]
		}
	}
	return setTo(object, field, slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !exists(name) }))
}

// mendOverlap takes out of a pool what other pools have; all of it, if nothing would be left.
func (v *view) mendOverlap(name string) string {
	var others netipx.IPSetBuilder
	for _, p := range v.snapshot.Pools() {
		for _, f := range []config.Family{config.IPv4, config.IPv6} {
			for _, r := range p.Ranges(f) {
				if p.Name != name {
					others.AddRange(r)
				}
			}
		}
	}
	set, err := others.IPSet()
	if err != nil { // ranges of pools are valid
		return ""
	}
	return v.exclude(name, set)
}

// reserved are the addresses that the cluster uses for something.
func (v *view) reserved(why config.Reason) *netipx.IPSet {
	var all netipx.IPSetBuilder
	for _, r := range conditions.Reserved(v.Nodes.Items, v.CIDRs.Items) {
		if r.For == why {
			all.AddRange(r.IPRange)
		}
	}
	set, err := all.IPSet()
	if err != nil {
		return &netipx.IPSet{}
	}
	return set
}

// exclude is a command that takes addresses out of a pool, or the pool away, if none would be left.
func (v *view) exclude(name string, what *netipx.IPSet) string {
	p := v.snapshot.Pool(name)
	var both, rest netipx.IPSetBuilder
	for _, f := range []config.Family{config.IPv4, config.IPv6} {
		for _, r := range p.Ranges(f) {
			both.AddRange(r)
			rest.AddRange(r)
		}
	}
	both.Intersect(what)
	rest.RemoveSet(what)
	common, err := both.IPSet()
	left, also := rest.IPSet()
	if err != nil || also != nil {
		return ""
	}
	if len(left.Ranges()) == 0 {
		return "kubectl delete ipaddresspool " + name
	}
	var entries []string
	for i := range v.Pools.Items {
		if v.Pools.Items[i].Name == name {
			entries = append(entries, v.Pools.Items[i].Spec.Exclude...)
		}
	}
	for _, r := range common.Ranges() {
		if prefix, ok := r.Prefix(); ok {
			entries = append(entries, prefix.String())
		} else {
			entries = append(entries, r.String())
		}
	}
	return setTo("ipaddresspool "+name, "exclude", entries)
}
