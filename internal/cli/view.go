package cli

import (
	"cmp"
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
	endpoints  map[string][]string // the nodes of the usable ones, sorted, by namespace/name of the Service
	namespaces map[string]map[string]string
	// holders are the Services and IPClaims that show an address, and used counts their addresses.
	holders map[netip.Addr][]string
	used    map[pooled]int
	// ours are the Services that Fairlead serves, by namespace and name, and sharers those of them that show an address.
	ours    []*corev1.Service
	sharers map[netip.Addr][]*announce.Service
}

// pooled are the addresses of a family that a pool has.
type pooled struct {
	pool   *config.Pool
	family config.Family
}

// view works out what follows from what was read, once.
func (c *Cluster) view() *view {
	if c.seen == nil {
		c.seen = c.look()
	}
	return c.seen
}

func (c *Cluster) look() *view {
	v := &view{
		Cluster: c, snapshot: c.build(), class: c.class(), endpoints: c.endpoints(),
		nodes:      place.Nodes(c.Nodes.Items, c.Speakers.Items),
		namespaces: map[string]map[string]string{}, holders: map[netip.Addr][]string{}, used: map[pooled]int{},
		sharers: map[netip.Addr][]*announce.Service{},
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
	for a := range v.holders {
		v.used[pooled{v.snapshot.PoolOf(a), config.FamilyOf(a)}]++
	}
	v.serve()
	return v
}

// serve finds the Services that Fairlead serves, and who shares which address.
func (v *view) serve() {
	for i := range v.Services.Items {
		if s := &v.Services.Items[i]; v.class.Serves(s) {
			v.ours = append(v.ours, s)
		}
	}
	slices.SortFunc(v.ours, func(a, b *corev1.Service) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	for _, svc := range v.ours {
		s := kube.ServiceOf(svc)
		x := v.announced(&s)
		for _, a := range s.Shown {
			v.sharers[a] = append(v.sharers[a], x)
		}
	}
}

// admits reports whether a pool may give a Service an address, by namespace and labels.
func (v *view) admits(p *config.Pool, svc *corev1.Service) bool {
	return p.Admits(svc.Namespace, v.namespaces[svc.Namespace], svc.Labels)
}

// announced returns a Service as the speakers see it.
func (v *view) announced(s *kube.Service) *announce.Service {
	return place.Service(s, v.endpoints[s.Namespace+"/"+s.Name])
}
