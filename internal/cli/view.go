package cli

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/controller/place"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A view is a Cluster and what follows from it, worked out once.
type view struct {
	*Cluster

	snapshot   *config.Snapshot
	class      kube.Class
	nodes      []announce.Node
	endpoints  map[string]map[string]int // by namespace/name of the Service, then by node
	namespaces map[string]map[string]string
	// holders are the Services and IPClaims that show an address.
	holders map[netip.Addr][]string
}

func (c *Cluster) view() *view {
	v := &view{
		Cluster: c, snapshot: c.build(), class: c.class(), endpoints: c.endpoints(),
		nodes:      place.Nodes(c.Nodes.Items, c.Speakers.Items),
		namespaces: map[string]map[string]string{}, holders: map[netip.Addr][]string{},
	}
	for i := range c.Namespaces.Items {
		v.namespaces[c.Namespaces.Items[i].Name] = c.Namespaces.Items[i].Labels
	}
	for i := range c.Services.Items {
		s := &c.Services.Items[i]
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		addrs, _ := kube.Shown(s)
		for _, a := range addrs {
			v.holders[a] = append(v.holders[a], "service "+s.Namespace+"/"+s.Name)
		}
	}
	for i := range c.Claims.Items {
		claim := &c.Claims.Items[i]
		for _, a := range kube.ClaimOf(claim).Shown {
			v.holders[a] = append(v.holders[a], "ipclaim "+claim.Namespace+"/"+claim.Name)
		}
	}
	return v
}

// admits reports whether a pool may give a Service an address, by namespace and labels.
func (v *view) admits(p *config.Pool, svc *corev1.Service) bool {
	return p.Admits(svc.Namespace, v.namespaces[svc.Namespace], svc.Labels)
}

// announced returns a Service as the speakers see it.
func (v *view) announced(s *kube.Service) *announce.Service {
	return &announce.Service{
		Key: announce.Key{Namespace: s.Namespace, Name: s.Name}, Labels: s.Labels, Addresses: s.Shown, Local: s.Local,
		Endpoints: v.endpoints[s.Namespace+"/"+s.Name], Record: s.Record(), InUse: s.InUse,
	}
}

// ours are the Services that Fairlead serves, by namespace and name.
func (v *view) ours() []*corev1.Service {
	var out []*corev1.Service
	for i := range v.Services.Items {
		if s := &v.Services.Items[i]; v.class.Serves(s) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Service) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return out
}
