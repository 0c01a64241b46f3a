//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"path"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// apiServer serves objects that never change to those who watch (KEP-3157), and nothing else. What it says of each resource is written once,
// so that it costs nothing when it is measured.
type apiServer map[string]answer

type answer struct {
	contentType string
	events      []byte
}

// empty are objects of all kinds that a speaker watches, by resource.
var empty = map[string]client.Object{
	"nodes": &corev1.Node{}, "services": &corev1.Service{}, "secrets": &corev1.Secret{}, "endpointslices": &discoveryv1.EndpointSlice{},
	"ipaddresspools": &v1beta1.IPAddressPool{}, "l2advertisements": &v1beta1.L2Advertisement{}, "bgppeers": &v1beta1.BGPPeer{},
	"bgpadvertisements": &v1beta1.BGPAdvertisement{}, "bfdprofiles": &v1beta1.BFDProfile{}, "communities": &v1beta1.Community{},
	"speakerstatuses": &v1beta1.SpeakerStatus{},
}

func newAPIServer(objects []client.Object) (apiServer, error) {
	scheme, err := kube.NewScheme()
	if err != nil {
		return nil, err
	}
	by := map[schema.GroupVersionKind][]client.Object{}
	complete := func(o client.Object) error {
		gvk, err := apiutil.GVKForObject(o, scheme)
		if err != nil {
			return fmt.Errorf("kind of %T: %w", o, err)
		}
		o.GetObjectKind().SetGroupVersionKind(gvk)
		o.SetResourceVersion("1")
		o.SetUID("00000000-0000-4000-8000-000000000000")
		o.SetGeneration(1)
		by[gvk] = append(by[gvk], o)
		return nil
	}
	for _, o := range objects {
		if err := complete(o); err != nil {
			return nil, err
		}
	}
	out := apiServer{}
	for resource, kind := range empty {
		last, ok := kind.DeepCopyObject().(client.Object)
		if !ok {
			return nil, fmt.Errorf("%T is no object", kind)
		}
		last.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		if err := complete(last); err != nil {
			return nil, err
		}
		gvk := last.GetObjectKind().GroupVersionKind()
		if out[resource], err = write(scheme, by[gvk], gvk.Group != v1beta1.GroupVersion.Group); err != nil {
			return nil, fmt.Errorf("write %s: %w", resource, err)
		}
	}
	return out, nil
}

// write says that there are some objects, of which the last is none: it says that these were all. Clients want their own kinds as JSON, and
// those of Kubernetes as protocol buffers.
func write(scheme *runtime.Scheme, objects []client.Object, compact bool) (answer, error) {
	var out, text bytes.Buffer
	whole, event := protobuf.NewSerializer(scheme, scheme), protobuf.NewRawSerializer(scheme, scheme)
	frames := protobuf.LengthDelimitedFramer.NewFrameWriter(&out)
	for i, o := range objects {
		e := metav1.WatchEvent{Type: string(watch.Added), Object: runtime.RawExtension{Object: o}}
		if i == len(objects)-1 {
			e.Type = string(watch.Bookmark)
		}
		if !compact {
			if err := json.NewEncoder(&out).Encode(e); err != nil {
				return answer{}, err
			}
			continue
		}
		text.Reset()
		if err := whole.Encode(o, &text); err != nil {
			return answer{}, err
		}
		e.Object = runtime.RawExtension{Raw: text.Bytes()}
		if err := event.Encode(&e, frames); err != nil {
			return answer{}, err
		}
	}
	if compact {
		return answer{runtime.ContentTypeProtobuf + ";stream=watch", out.Bytes()}, nil
	}
	return answer{runtime.ContentTypeJSON, out.Bytes()}, nil
}

func (s apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all, known := s[path.Base(r.URL.Path)]
	if !known || r.Method != http.MethodGet || r.URL.Query().Get("sendInitialEvents") != "true" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", all.contentType)
	if _, err := w.Write(all.events); err != nil {
		return // nobody watches any more
	}
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	<-r.Context().Done()
}

// crowded returns so many Services, each with an endpoint on each of the nodes, as they are when their addresses are announced by BGP.
func crowded(services int, nodes []string, from netip.Addr) (out []client.Object) {
	yes, vip := true, corev1.LoadBalancerIPModeVIP
	for i := range services {
		from = from.Next()
		a, meta := from.String(), metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("web-%d", i), CreationTimestamp: metav1.Now()}
		slice := &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: new(int32(8080))}}}
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: meta.Name, discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io"}
		for _, node := range nodes {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{"10.244.0.5"}, NodeName: new(node), Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: new(bool)},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: meta.Name + "-5d59d67564-abcde"},
			})
		}
		svc := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": meta.Name}, ClusterIP: "10.96.0.10", ClusterIPs: []string{"10.96.0.10"},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, NodePort: 30000}}, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster,
		}}
		svc.Labels = map[string]string{"app": meta.Name}
		svc.Annotations = map[string]string{
			kube.AnnotationAllocatedFrom: a + "=crowd", kube.AnnotationInUse: a,
			kube.AnnotationHistory: "2026-01-01T00:00:01Z " + a + " announced by BGP\n2026-01-01T00:00:00Z " + a + " assigned from pool crowd",
		}
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: a, IPMode: &vip}}
		for kind, message := range map[string]string{
			v1beta1.ServiceConditionAssigned: " from pool crowd", v1beta1.ServiceConditionAnnounced: " by BGP to router-1, router-2",
		} {
			svc.Status.Conditions = append(svc.Status.Conditions, metav1.Condition{
				Type: kind, Status: metav1.ConditionTrue, Reason: path.Base(kind), Message: a + message, LastTransitionTime: metav1.Now(),
			})
		}
		out = append(out, svc, slice)
	}
	return out
}
