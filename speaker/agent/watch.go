package agent

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// Watch subscribes to all that a speaker has to know, and lets the Agent decide
// once everything has been read. It returns when that is so, or ctx ends.
func (a *Agent) Watch(ctx context.Context, c cache.Cache) error {
	var synced []toolscache.InformerSynced
	for _, kind := range a.kinds() {
		informer, err := c.GetInformer(ctx, kind.object)
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind.object, err)
		}
		registration, err := informer.AddEventHandler(a.handler(ctx, kind.put, kind.drop))
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind.object, err)
		}
		synced = append(synced, registration.HasSynced)
	}
	if toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		close(a.synced)
	}
	return nil
}

// kind is how objects of one kind change the world.
type kind struct {
	object client.Object
	put    func(any) func(*world)
	drop   func(name) func(*world)
}

func (a *Agent) handler(ctx context.Context, put func(any) func(*world), drop func(name) func(*world)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { a.send(ctx, put(o)) },
		UpdateFunc: func(_, o any) { a.send(ctx, put(o)) },
		DeleteFunc: func(o any) {
			if n, err := toolscache.DeletionHandlingObjectToName(o); err == nil {
				a.send(ctx, drop(name{n.Namespace, n.Name}))
			}
		},
	}
}

// of is a kind of which the cache keeps a T for each object.
func of[T any](object client.Object, put func(T) func(*world), drop func(name) func(*world)) kind {
	return kind{object, func(o any) func(*world) {
		typed, ok := o.(T)
		if !ok {
			return func(*world) {}
		}
		return put(typed)
	}, drop}
}

// kinds is the table of what is watched, and what a change of it does.
func (a *Agent) kinds() []kind {
	return []kind{
		configuration(&v1beta1.IPAddressPool{}, func(w *world) map[string]v1beta1.IPAddressPool { return w.pools },
			func(p *v1beta1.IPAddressPool) any { return p.Status.AcceptedSpec }),
		configuration(&v1beta1.L2Advertisement{}, func(w *world) map[string]v1beta1.L2Advertisement { return w.l2 },
			func(l *v1beta1.L2Advertisement) any { return l.Status.AcceptedSpec }),
		configuration(&v1beta1.BGPPeer{}, func(w *world) map[string]v1beta1.BGPPeer { return w.bgpPeers },
			func(p *v1beta1.BGPPeer) any { return p.Status.AcceptedSpec }),
		configuration(&v1beta1.BGPAdvertisement{}, func(w *world) map[string]v1beta1.BGPAdvertisement { return w.bgp },
			func(b *v1beta1.BGPAdvertisement) any { return b.Status.AcceptedSpec }),
		configuration(&v1beta1.BFDProfile{}, func(w *world) map[string]v1beta1.BFDProfile { return w.bfd },
			func(p *v1beta1.BFDProfile) any { return p.Status.AcceptedSpec }),
		configuration(&v1beta1.Community{}, func(w *world) map[string]v1beta1.Community { return w.communities },
			func(c *v1beta1.Community) any { return c.Status.AcceptedSpec }),
		of(&corev1.Node{}, func(o *corev1.Node) func(*world) {
			n := kube.NodeOf(o)
			n.Excluded = n.Excluded && !a.IgnoreExclude
			n.Cordoned = n.Cordoned && a.YieldCordoned
			return func(w *world) { w.changed(put(w.nodes, n.Name, n)) }
		}, func(n name) func(*world) {
			return func(w *world) { w.changed(drop(w.nodes, n.name)) }
		}),
		of(&v1beta1.SpeakerStatus{}, func(s *v1beta1.SpeakerStatus) func(*world) {
			if s.Name == a.Node {
				return func(*world) {} // it follows from what this speaker knows
			}
			links, conflicts := announce.LinksOf(s), kube.ConflictsOf(s)
			return func(w *world) {
				w.changed(put(w.others, s.Name, links))
				w.report(s.Name, conflicts)
			}
		}, func(n name) func(*world) {
			return func(w *world) {
				w.changed(drop(w.others, n.name))
				w.report(n.name, nil)
			}
		}),
		of(&corev1.Secret{}, putSecret, func(name) func(*world) { return func(*world) {} }), // what is gone is remembered
		of(&corev1.Service{}, a.putService, func(n name) func(*world) {
			return dropService(announce.Key{Namespace: n.namespace, Name: n.name})
		}),
		of(&discoveryv1.EndpointSlice{}, a.putSlice, dropSlice),
	}
}

// configuration is a kind that operators write: it changes the world by what it says, and by what of that was last accepted.
func configuration[T any, O interface {
	*T
	client.Object
}](object O, all func(*world) map[string]T, accepted func(O) any) kind {
	return of(object, func(o O) func(*world) {
		return func(w *world) {
			m := all(w)
			old, known := m[o.GetName()]
			before := O(&old)
			same := known && before.GetUID() == o.GetUID() && before.GetGeneration() == o.GetGeneration() && maps.Equal(before.GetLabels(), o.GetLabels())
			if m[o.GetName()] = *o; !same || !reflect.DeepEqual(accepted(before), accepted(o)) {
				w.reconfigured()
			}
		}
	}, func(n name) func(*world) {
		return func(w *world) { delete(all(w), n.name); w.reconfigured() }
	})
}

func putSecret(o *corev1.Secret) func(*world) {
	if kube.IsGossipSecret(o) {
		key := bytes.Clone(kube.GossipKey(o))
		return func(w *world) {
			if key != nil && !bytes.Equal(key, w.key) {
				w.key, w.all = key, true
			}
		}
	}
	var p password
	p.text, p.fault = kube.Password(o)
	return func(w *world) { w.changed(put(w.passwords, o.Name, p)) }
}

func (a *Agent) putService(svc *corev1.Service) func(*world) {
	key := announce.Key{Namespace: svc.Namespace, Name: svc.Name}
	if !a.Class.Serves(svc) || !kube.Marked(svc) {
		return dropService(key)
	}
	s, announced := heldOf(svc), meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAnnounced)
	return func(w *world) {
		w.announced[key] = announced
		if !w.putService(key, s) {
			a.Seen(key, announced, s.record(), s.inUse)
		}
	}
}

func dropService(key announce.Key) func(*world) {
	return func(w *world) {
		delete(w.announced, key)
		w.dropService(key)
	}
}

func (a *Agent) putSlice(s *kube.Slice) func(*world) {
	if s.Namespace == a.Namespace && s.Service == a.Service {
		return func(w *world) { w.changed(put(w.speakers, name{s.Namespace, s.Name}, s.Ready)) }
	}
	return func(w *world) { w.putSlice(s) }
}

func dropSlice(at name) func(*world) {
	return func(w *world) {
		w.changed(drop(w.speakers, at))
		w.dropSlice(at)
	}
}
