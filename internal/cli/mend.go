package cli

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
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
