package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// metalL2Status is where MetalLB says which node announces a Service by layer 2.
var metalL2Status = schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "ServiceL2Status"}

// A cutover takes over from MetalLB, step by step. Each step finds what it has done already, so that a cutover that was interrupted
// goes on when it is run again.
type cutover struct {
	client client.Client
	// namespace is MetalLB's.
	namespace  string
	conversion Conversion
	class      kube.Class
	say        func(format string, args ...any)
}

type step struct {
	what string
	do   func(context.Context) error
}

func (c *cutover) run(ctx context.Context) error {
	return c.steps(ctx,
		step{"MetalLB's controller assigns no more: nobody does but Fairlead", c.stopController},
		step{"what MetalLB's speakers announce by layer 2 is noted, so that the same nodes go on with it", c.noteAnnouncers},
		step{"Fairlead gets the pools, and adopts the addresses that Services show", c.adopt},
		step{"Fairlead announces by layer 2 beside MetalLB, from the same nodes with the same MAC addresses", c.announce},
		step{"MetalLB ends announcing by layer 2, on all nodes at once", c.silence},
		step{"node by node, MetalLB's speaker ends and Fairlead's sessions begin", c.nodes},
		step{"MetalLB is stopped, and stays installed", c.finish},
	)
}

// back hands over to MetalLB again. Fairlead stays installed, and has no configuration.
func (c *cutover) back(ctx context.Context) error {
	return c.steps(ctx,
		step{"node by node, Fairlead's sessions end and MetalLB's speaker begins", c.nodesBack},
		step{"MetalLB runs as it did before, and restarts node by node for it", c.restart},
		step{"MetalLB announces by layer 2 again", c.speak},
		step{"Fairlead ends announcing by layer 2, and forgets the pools; Services keep their addresses", func(ctx context.Context) error {
			return c.remove(ctx, "BGPPeer", "BGPAdvertisement", "L2Advertisement", "IPAddressPool", "BFDProfile", "Community")
		}},
	)
}

func (c *cutover) steps(ctx context.Context, all ...step) error {
	for i, s := range all {
		c.say("%d/%d %s\n", i+1, len(all), s.what)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// until waits for something, and says what it has waited for.
func (c *cutover) until(ctx context.Context, what string, is wait.ConditionWithContextFunc) error {
	if err := wait.PollUntilContextTimeout(ctx, time.Second/5, stopping, true, is); err != nil {
		return fmt.Errorf("wait until %s: %w", what, err)
	}
	return nil
}

// announcers returns which node announces each Service by layer 2, as MetalLB says.
func (c *cutover) announcers(ctx context.Context) (map[client.ObjectKey]string, error) {
	var all unstructured.UnstructuredList
	all.SetGroupVersionKind(metalL2Status)
	switch err := c.client.List(ctx, &all, client.InNamespace(c.namespace)); {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
		c.say("    this version of MetalLB has no ServiceL2Status: another node may go on with an address\n")
		return map[client.ObjectKey]string{}, nil
	case err != nil:
		return nil, fmt.Errorf("read which nodes announce: %w", err)
	}
	out := map[client.ObjectKey]string{}
	for i := range all.Items {
		field := func(name string) string {
			v, _, _ := unstructured.NestedString(all.Items[i].Object, "status", name)
			return v
		}
		out[client.ObjectKey{Namespace: field("serviceNamespace"), Name: field("serviceName")}] = field("node")
	}
	return out, nil
}

// noteAnnouncers writes into the Services which node announces them, which Fairlead follows.
func (c *cutover) noteAnnouncers(ctx context.Context) error {
	by, err := c.announcers(ctx)
	if err != nil {
		return err
	}
	noted := 0
	for key, node := range by {
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			var svc corev1.Service
			if err := c.client.Get(ctx, key, &svc); err != nil {
				return client.IgnoreNotFound(err)
			}
			shown, _ := kube.Shown(&svc)
			if node == "" || len(shown) == 0 || !c.class.Serves(&svc) || kube.Marked(&svc) {
				return nil // it is Fairlead's already, or will not be
			}
			record := map[netip.Addr][]string{}
			for _, a := range shown {
				record[a] = []string{node}
			}
			before := svc.DeepCopy()
			kube.Annotate(&svc, kube.AnnotationAnnouncers, kube.AnnouncersText(record))
			noted++
			return c.client.Patch(ctx, &svc, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		})
		if err != nil {
			return fmt.Errorf("note which node announces service %s: %w", key, err)
		}
	}
	c.say("    %d Services\n", noted)
	return nil
}

// converted returns copies of the converted objects of some kinds, in the order of these.
func (c *cutover) converted(kinds ...string) (out []client.Object) {
	for _, kind := range kinds {
		for _, o := range c.conversion.Objects {
			if object, ok := o.DeepCopyObject().(client.Object); ok && kindOf(o) == kind {
				out = append(out, object)
			}
		}
	}
	return out
}

// apply creates or updates objects.
func (c *cutover) apply(ctx context.Context, objects []client.Object) error {
	for _, o := range objects {
		if err := c.put(ctx, o); err != nil {
			return fmt.Errorf("apply %s %s: %w", strings.ToLower(kindOf(o)), o.GetName(), err)
		}
	}
	return nil
}

func (c *cutover) put(ctx context.Context, o client.Object) error {
	err := c.client.Create(ctx, o)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		there, _ := o.DeepCopyObject().(client.Object)
		if err := c.client.Get(ctx, client.ObjectKeyFromObject(o), there); err != nil {
			return err
		}
		o.SetResourceVersion(there.GetResourceVersion())
		return c.client.Update(ctx, o)
	})
}

// adopt creates the pools, and waits until the Services that show addresses are Fairlead's.
func (c *cutover) adopt(ctx context.Context) error {
	if err := c.apply(ctx, c.converted("Community", "BFDProfile", "IPAddressPool")); err != nil {
		return err
	}
	snapshot, err := c.snapshot()
	if err != nil {
		return err
	}
	return c.services(ctx, "all Services are adopted", func(svc *corev1.Service) bool {
		shown, _ := kube.Shown(svc)
		return kube.Marked(svc) || !slices.ContainsFunc(shown, func(a netip.Addr) bool { return snapshot.PoolOf(a) != nil })
	})
}

// snapshot is what the converted objects mean together. What belongs to none of the pools is somebody else's.
func (c *cutover) snapshot() (*config.Snapshot, error) {
	var then Cluster
	for _, o := range c.conversion.Objects {
		if err := then.add(o); err != nil {
			return nil, err
		}
	}
	return then.build(), nil
}

// services waits until something is so of all Services that Fairlead serves and that show addresses.
func (c *cutover) services(ctx context.Context, what string, is func(*corev1.Service) bool) error {
	var lacks []string
	err := c.until(ctx, what, func(ctx context.Context) (bool, error) {
		var all corev1.ServiceList
		if err := c.client.List(ctx, &all); err != nil {
			return false, err
		}
		lacks = nil
		for i := range all.Items {
			svc := &all.Items[i]
			if shown, _ := kube.Shown(svc); c.class.Serves(svc) && len(shown) > 0 && !is(svc) {
				lacks = append(lacks, svc.Namespace+"/"+svc.Name)
			}
		}
		return len(lacks) == 0, nil
	})
	if err != nil && len(lacks) > 0 {
		return fmt.Errorf("%w: not yet %s; kubectl fairlead explain service says why", err, strings.Join(lacks[:min(len(lacks), 5)], ", "))
	}
	return err
}

// announce creates the L2Advertisements, and waits until Fairlead announces what MetalLB does.
func (c *cutover) announce(ctx context.Context) error {
	ads := c.converted("L2Advertisement")
	if err := c.apply(ctx, ads); err != nil || len(ads) == 0 {
		return err
	}
	by, err := c.announcers(ctx)
	if err != nil {
		return err
	}
	return c.services(ctx, "Fairlead announces by layer 2", func(svc *corev1.Service) bool {
		return by[client.ObjectKeyFromObject(svc)] == "" || meta.IsStatusConditionTrue(svc.Status.Conditions, v1beta1.ServiceConditionAnnounced)
	})
}

// remove deletes what was converted, of some kinds in this order.
func (c *cutover) remove(ctx context.Context, kinds ...string) error {
	for _, o := range c.converted(kinds...) {
		if err := c.client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s %s: %w", strings.ToLower(kindOf(o)), o.GetName(), err)
		}
	}
	return nil
}
