package assign

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// sightings is the Request that speakers report other conflicts.
var sightings = Request{Kind: ipam.Claim + 1}

// contested are the addresses, by the Service that has them, that speakers report to have found in use by another host before they
// announced them. They are read of SpeakerStatuses, which speakers alone write: what a Service says of itself
// could be its owner's word.
type contested struct {
	by atomic.Pointer[map[ipam.Key][]netip.Addr]
}

// of returns those of a Service.
func (c *contested) of(k ipam.Key) []netip.Addr {
	if by := c.by.Load(); by != nil {
		return (*by)[k]
	}
	return nil
}

// read reads them, and returns the Services of which others are reported than before.
func (c *contested) read(ctx context.Context, from client.Reader) ([]ipam.Key, error) {
	var list v1beta1.SpeakerStatusList
	if err := from.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list SpeakerStatuses: %w", err)
	}
	now := map[ipam.Key][]netip.Addr{}
	for i := range list.Items {
		for _, x := range kube.ConflictsOf(&list.Items[i]) {
			k := ipam.Key{Namespace: x.Namespace, Name: x.Service}
			if x.Before && !slices.Contains(now[k], x.Addr) {
				now[k] = append(now[k], x.Addr)
			}
		}
	}
	was := map[ipam.Key][]netip.Addr{}
	if before := c.by.Swap(&now); before != nil {
		was = *before
	}
	var changed []ipam.Key
	for k := range now {
		if !slices.Equal(was[k], now[k]) {
			changed = append(changed, k)
		}
	}
	for k := range maps.Keys(was) {
		if _, still := now[k]; !still {
			changed = append(changed, k)
		}
	}
	return changed, nil
}
