package assign

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
)

// TestInvalidEdit has a Service edited so that what it asks for cannot be read: nobody loses anything, now or after a restart.
func TestInvalidEdit(t *testing.T) {
	front := &v1beta1.IPClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "front", CreationTimestamp: metav1.NewTime(born)}}
	front.Status.Addresses = []string{"192.0.2.1"}
	service := func(name string, age int, port int32, annotations map[string]string) *corev1.Service {
		s := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: name, Annotations: map[string]string{kube.AnnotationAllocatedFrom: "192.0.2.1=main"},
				CreationTimestamp: metav1.NewTime(born.Add(time.Duration(age) * time.Minute)),
			},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Ports: []corev1.ServicePort{{Port: port}},
			},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}}},
		}
		maps.Copy(s.Annotations, annotations)
		return s
	}
	request := func(s *corev1.Service) ipam.Request {
		k := kube.ServiceOf(s)
		return RequestOf(&k, nil)
	}
	claims, shares := map[string]string{kube.AnnotationClaim: "front"}, map[string]string{kube.AnnotationSharingKey: "k"}
	cases := map[string]struct {
		reason     string
		before     map[string]string
		key, value string
		claimed    bool
	}{
		"PoolBeside":   {"a pool beside a claim", claims, kube.AnnotationPool, "main", true},
		"IPsBeside":    {"addresses beside a claim", claims, kube.AnnotationIPs, "192.0.2.1", true},
		"BadClaim":     {"a claim whose name cannot be one", claims, kube.AnnotationClaim, "Front_1", true},
		"BadIPs":       {"one that shares asks for no address", shares, kube.AnnotationIPs, "192.0.2.300", false},
		"BadPool":      {"one that shares asks for no pool", shares, kube.AnnotationPool, "", false},
		"LongKey":      {"a sharing key that is too long", shares, kube.AnnotationSharingKey, fmt.Sprintf("%0300d", 1), false},
		"OthersBadIPs": {"an annotation of another implementation", shares, "metallb.io/loadBalancerIPs", "x", false},
	}
	for name, tc := range cases {
		for _, edited := range []string{"older", "younger"} {
			t.Run(name+"/"+edited, func(t *testing.T) {
				all := map[string]*corev1.Service{"older": service("older", 1, 80, tc.before), "younger": service("younger", 2, 443, tc.before)}
				requests := func() []ipam.Request {
					out := []ipam.Request{request(all["older"]), request(all["younger"])}
					if tc.claimed {
						out = append(out, ClaimRequestOf(front, nil))
					}
					return out
				}
				var l ledger
				l.load(snapshot("192.0.2.1-192.0.2.9"), requests())
				all[edited].Annotations[tc.key] = tc.value
				check := func(when string) {
					for _, s := range []*corev1.Service{all[edited], all["older"], all["younger"]} {
						out := l.decide(request(s))
						if diff := cmp.Diff([]string{"192.0.2.1"}, texts(out.Addresses)); diff != "" {
							t.Errorf("%s: %s, %s has (%s: %s) -want, +got:\n%s", tc.reason, when, s.Name, out.Reason, out.Message, diff)
						}
						if want := s == all[edited]; (out.Reason == ipam.InvalidRequest) != want {
							t.Errorf("%s: %s, %s is told %s: %s", tc.reason, when, s.Name, out.Reason, out.Message)
						}
					}
				}
				check("at once")
				l = ledger{}
				l.load(snapshot("192.0.2.1-192.0.2.9"), requests())
				check("after a restart")
			})
		}
	}
}
