package cli

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/controller/conditions"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// A Cluster is what was read of one, at one time.
type Cluster struct {
	// System is the namespace that Fairlead runs in.
	System string
	// Now is when it was read.
	Now time.Time

	Services   corev1.ServiceList
	Slices     discoveryv1.EndpointSliceList
	Nodes      corev1.NodeList
	Namespaces corev1.NamespaceList
	CIDRs      networkingv1.ServiceCIDRList

	// Deployments and DaemonSets are those of all namespaces: another implementation may run beside.
	Deployments appsv1.DeploymentList
	DaemonSets  appsv1.DaemonSetList

	Pools             v1beta1.IPAddressPoolList
	Claims            v1beta1.IPClaimList
	L2Advertisements  v1beta1.L2AdvertisementList
	BGPAdvertisements v1beta1.BGPAdvertisementList
	Peers             v1beta1.BGPPeerList
	BFDProfiles       v1beta1.BFDProfileList
	Communities       v1beta1.CommunityList
	Speakers          v1beta1.SpeakerStatusList
	Sessions          v1beta1.BGPStatusList
	Announcements     v1beta1.AnnouncementSliceList

	// Flags are those of the controller, beside those of its Deployment.
	Flags []string

	// Unread says of kinds that could not be read why.
	Unread map[string]string

	// snapshot and problems are what config makes of the objects; see build.
	snapshot *config.Snapshot
	problems []config.Problem
	// seen is what follows from all; see view.
	seen *view
}

// list is a kind of objects that is read.
type list struct {
	kind string
	into func(*Cluster) client.ObjectList
	// optional: what is said without it is less, not wrong.
	optional bool
}

// lists are all of them: one request each.
var lists = []list{
	{"IPAddressPool", func(c *Cluster) client.ObjectList { return &c.Pools }, false},
	{"IPClaim", func(c *Cluster) client.ObjectList { return &c.Claims }, false},
	{"L2Advertisement", func(c *Cluster) client.ObjectList { return &c.L2Advertisements }, false},
	{"BGPAdvertisement", func(c *Cluster) client.ObjectList { return &c.BGPAdvertisements }, false},
	{"BGPPeer", func(c *Cluster) client.ObjectList { return &c.Peers }, false},
	{"BFDProfile", func(c *Cluster) client.ObjectList { return &c.BFDProfiles }, false},
	{"Community", func(c *Cluster) client.ObjectList { return &c.Communities }, false},
	{"SpeakerStatus", func(c *Cluster) client.ObjectList { return &c.Speakers }, false},
	{"BGPStatus", func(c *Cluster) client.ObjectList { return &c.Sessions }, false},
	{"AnnouncementSlice", func(c *Cluster) client.ObjectList { return &c.Announcements }, true},
	{"Service", func(c *Cluster) client.ObjectList { return &c.Services }, false},
	{"EndpointSlice", func(c *Cluster) client.ObjectList { return &c.Slices }, false},
	{"Node", func(c *Cluster) client.ObjectList { return &c.Nodes }, false},
	{"Namespace", func(c *Cluster) client.ObjectList { return &c.Namespaces }, true},
	{"ServiceCIDR", func(c *Cluster) client.ObjectList { return &c.CIDRs }, true},
	{"Deployment", func(c *Cluster) client.ObjectList { return &c.Deployments }, true},
	{"DaemonSet", func(c *Cluster) client.ObjectList { return &c.DaemonSets }, true},
}

// errNotInstalled is the answer where the kinds of Fairlead are not known.
var errNotInstalled = errors.New("this cluster has no custom resource definitions of fairlead.io: install Fairlead, or choose another cluster by --context")

// Read reads a cluster.
func Read(ctx context.Context, r client.Reader, system string, now time.Time) (*Cluster, error) {
	c := &Cluster{System: system, Now: now, Unread: map[string]string{}}
	for _, l := range lists {
		err := r.List(ctx, l.into(c))
		switch {
		case err == nil:
		case l.optional && (apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || meta.IsNoMatchError(err)):
			c.Unread[l.kind] = err.Error()
		case apierrors.IsForbidden(err):
			return nil, fmt.Errorf("read %ss: %w; the ClusterRole fairlead-viewer lets you", l.kind, err)
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			return nil, errNotInstalled
		default:
			return nil, fmt.Errorf("read %ss: %w", l.kind, err)
		}
	}
	return c, nil
}

// kindOf is the kind of an object, which Go's type is called after.
func kindOf(o runtime.Object) string { return reflect.TypeOf(o).Elem().Name() }

// add puts an object where a read of the cluster would have, in place of one of the same name. Kinds that are not read are left out.
func (c *Cluster) add(o runtime.Object) error {
	object, ok := o.(client.Object)
	if !ok {
		return nil
	}
	for _, l := range lists {
		if l.kind != kindOf(o) {
			continue
		}
		items, err := meta.ExtractList(l.into(c))
		if err != nil {
			return err
		}
		items = slices.DeleteFunc(items, func(i runtime.Object) bool {
			m, err := meta.Accessor(i)
			return err == nil && m.GetName() == object.GetName() && m.GetNamespace() == object.GetNamespace()
		})
		c.snapshot, c.seen = nil, nil
		return meta.SetList(l.into(c), append(items, o))
	}
	return nil
}

// build has the configuration built as the controller and the speakers build it.
func (c *Cluster) build() *config.Snapshot {
	if c.snapshot == nil {
		c.snapshot, c.problems = config.Build(config.Objects{
			Pools: c.Pools.Items, L2Advertisements: c.L2Advertisements.Items,
			BGPPeers: c.Peers.Items, BGPAdvertisements: c.BGPAdvertisements.Items,
			BFDProfiles: c.BFDProfiles.Items, Communities: c.Communities.Items,
			Reserved: conditions.Reserved(c.Nodes.Items, c.CIDRs.Items),
		})
	}
	return c.snapshot
}

// installed returns the workloads of Fairlead; nil for what is not there or could not be read.
func (c *Cluster) installed() (controller *appsv1.Deployment, speaker *appsv1.DaemonSet) {
	for i := range c.Deployments.Items {
		if d := &c.Deployments.Items[i]; d.Namespace == c.System && d.Name == "controller" {
			controller = d
		}
	}
	for i := range c.DaemonSets.Items {
		if d := &c.DaemonSets.Items[i]; d.Namespace == c.System && d.Name == "speaker" {
			speaker = d
		}
	}
	return controller, speaker
}

// class returns which Services are served, by the flags of the controller.
func (c *Cluster) class() kube.Class {
	out := kube.NewClass()
	flags := slices.Clone(c.Flags)
	if controller, _ := c.installed(); controller != nil {
		for _, container := range controller.Spec.Template.Spec.Containers {
			flags = append(flags, container.Args...)
		}
	}
	for _, flag := range flags {
		name, value, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		switch name {
		case "load-balancer-class":
			if names, err := kube.ParseClasses(value); err == nil {
				out.Names = names
			}
		case "classless":
			out.Classless = value != "false"
		}
	}
	return out
}

// service returns a Service, or nil.
func (c *Cluster) service(namespace, name string) *corev1.Service {
	for i := range c.Services.Items {
		if s := &c.Services.Items[i]; s.Namespace == namespace && s.Name == name {
			return s
		}
	}
	return nil
}

// endpoints returns the nodes of each Service's usable endpoints, one for each, sorted, as the speakers see them.
func (c *Cluster) endpoints() map[string][]string {
	out := map[string][]string{}
	for i := range c.Slices.Items {
		s := kube.SliceOf(&c.Slices.Items[i])
		of := s.Namespace + "/" + s.Service
		out[of] = append(out[of], s.Usable...)
		slices.Sort(out[of])
	}
	return out
}

// speaker returns the status that the speaker of a node has written, or nil.
func (c *Cluster) speaker(node string) *v1beta1.SpeakerStatus {
	for i := range c.Speakers.Items {
		if s := &c.Speakers.Items[i]; s.Name == node {
			return s
		}
	}
	return nil
}
