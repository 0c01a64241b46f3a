package conditions

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// kind is a kind of object that operators write, and how it is read and judged.
type kind struct {
	name   config.Kind
	object client.Object
	// read adds the objects of the kind to what config builds from, and returns them.
	read func(context.Context, client.Reader, *config.Objects) ([]client.Object, error)
	// conditions returns where an object keeps its conditions.
	conditions func(client.Object) *[]metav1.Condition
	// accept notes an object's spec as that which was last accepted, and reports whether it was another.
	accept func(client.Object, *config.Snapshot) bool
}

// kinds is the table of all that is judged.
var kinds = []kind{
	of(config.IPAddressPool, &v1beta1.IPAddressPoolList{},
		func(l *v1beta1.IPAddressPoolList, o *config.Objects) []v1beta1.IPAddressPool {
			o.Pools = l.Items
			return l.Items
		},
		func(o *v1beta1.IPAddressPool) *[]metav1.Condition { return &o.Status.Conditions },
		func(o *v1beta1.IPAddressPool, _ *config.Snapshot) bool {
			return replace(&o.Status.AcceptedSpec, o.Spec.DeepCopy())
		}),
	of(config.L2Advertisement, &v1beta1.L2AdvertisementList{},
		func(l *v1beta1.L2AdvertisementList, o *config.Objects) []v1beta1.L2Advertisement {
			o.L2Advertisements = l.Items
			return l.Items
		},
		func(o *v1beta1.L2Advertisement) *[]metav1.Condition { return &o.Status.Conditions },
		func(o *v1beta1.L2Advertisement, _ *config.Snapshot) bool {
			return replace(&o.Status.AcceptedSpec, o.Spec.DeepCopy())
		}),
	of(config.BGPPeerKind, &v1beta1.BGPPeerList{},
		func(l *v1beta1.BGPPeerList, o *config.Objects) []v1beta1.BGPPeer {
			o.BGPPeers = l.Items
			return l.Items
		},
		func(o *v1beta1.BGPPeer) *[]metav1.Condition { return &o.Status.Conditions },
		func(o *v1beta1.BGPPeer, _ *config.Snapshot) bool {
			return replace(&o.Status.AcceptedSpec, o.Spec.DeepCopy())
		}),
	of(config.BGPAdvertisementKind, &v1beta1.BGPAdvertisementList{},
		func(l *v1beta1.BGPAdvertisementList, o *config.Objects) []v1beta1.BGPAdvertisement {
			o.BGPAdvertisements = l.Items
			return l.Items
		},
		func(o *v1beta1.BGPAdvertisement) *[]metav1.Condition { return &o.Status.Conditions },
		func(o *v1beta1.BGPAdvertisement, s *config.Snapshot) bool {
			spec := o.Spec.DeepCopy()
			spec.Communities = s.Spell(spec.Communities) // they stay what they are when an alias goes
			return replace(&o.Status.AcceptedSpec, spec)
		}),
	of(config.BFDProfileKind, &v1beta1.BFDProfileList{},
		func(l *v1beta1.BFDProfileList, o *config.Objects) []v1beta1.BFDProfile {
			o.BFDProfiles = l.Items
			return l.Items
		},
		func(o *v1beta1.BFDProfile) *[]metav1.Condition { return &o.Status.Conditions },
		func(o *v1beta1.BFDProfile, _ *config.Snapshot) bool {
			return replace(&o.Status.AcceptedSpec, o.Spec.DeepCopy())
		}),
	of(config.CommunityKind, &v1beta1.CommunityList{},
		func(l *v1beta1.CommunityList, o *config.Objects) []v1beta1.Community {
			o.Communities = l.Items
			return l.Items
		},
		func(o *v1beta1.Community) *[]metav1.Condition { return &o.Status.Conditions },
		func(o *v1beta1.Community, _ *config.Snapshot) bool {
			return replace(&o.Status.AcceptedSpec, o.Spec.DeepCopy())
		}),
}

// pointer is a pointer to a T that is an object.
type pointer[T any] interface {
	*T
	client.Object
}

// of makes a row of the table from functions of the kind's own types. The list says which kind it is, and is not written to.
func of[T any, O pointer[T], L client.ObjectList](name config.Kind, list L, put func(L, *config.Objects) []T,
	conditions func(O) *[]metav1.Condition, accept func(O, *config.Snapshot) bool,
) kind {
	return kind{
		name: name, object: O(new(T)),
		read: func(ctx context.Context, c client.Reader, o *config.Objects) ([]client.Object, error) {
			into := list.DeepCopyObject().(L) //nolint:forcetypeassert // a copy is of the same type
			if err := c.List(ctx, into); err != nil {
				return nil, fmt.Errorf("list the kind %s: %w", name, err)
			}
			items := put(into, o)
			out := make([]client.Object, len(items))
			for i := range items {
				out[i] = O(&items[i])
			}
			return out, nil
		},
		conditions: func(o client.Object) *[]metav1.Condition { return conditions(o.(O)) },     //nolint:forcetypeassert // of the row's kind
		accept:     func(o client.Object, s *config.Snapshot) bool { return accept(o.(O), s) }, //nolint:forcetypeassert // the same
	}
}

// replace reports whether what was accepted is another now.
func replace[T any](accepted **T, now *T) bool {
	before := *accepted
	*accepted = now
	return !equality.Semantic.DeepEqual(before, now)
}

// complete reports whether an object has all conditions that it should have.
func (k *kind) complete(o client.Object) bool {
	return !slices.ContainsFunc((&cluster{snapshot: &config.Snapshot{}}).judge(o, nil), func(c metav1.Condition) bool {
		return meta.FindStatusCondition(*k.conditions(o), c.Type) == nil
	})
}
