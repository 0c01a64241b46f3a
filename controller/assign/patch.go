package assign

import (
	"encoding/json"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// statusPatch is a strategic merge patch of what Fairlead writes to a Service. The
// resource version in it makes the API server refuse it for any but the Service that was
// read. Comparing two Services as JSON, or by reflection, would cost more than all else that is done for one.
type statusPatch struct {
	Metadata struct {
		ResourceVersion string             `json:"resourceVersion"`
		Annotations     map[string]*string `json:"annotations,omitempty"`
	} `json:"metadata"`
	Status struct {
		LoadBalancer *addressPatch `json:"loadBalancer,omitempty"`
		Conditions   []any         `json:"conditions,omitempty"`
	} `json:"status"`
}

type addressPatch struct {
	Ingress []corev1.LoadBalancerIngress `json:"ingress"`
}

// gone is a condition that is to be removed.
type gone struct {
	Patch string `json:"$patch"`
	Type  string `json:"type"`
}

// patchOf returns the patch that makes of one Service the other, as far as render and unrender change it; nil if they do not.
func patchOf(before, after *corev1.Service) *statusPatch {
	var p statusPatch
	p.Metadata.ResourceVersion = before.ResourceVersion
	p.Metadata.Annotations = annotationsPatch(before.Annotations, after.Annotations)
	if in := after.Status.LoadBalancer.Ingress; !slices.EqualFunc(before.Status.LoadBalancer.Ingress, in, sameIngress) {
		p.Status.LoadBalancer = &addressPatch{in}
	}
	for _, c := range after.Status.Conditions {
		if !slices.Contains(before.Status.Conditions, c) {
			p.Status.Conditions = append(p.Status.Conditions, c)
		}
	}
	for _, c := range before.Status.Conditions {
		if !slices.ContainsFunc(after.Status.Conditions, func(a metav1.Condition) bool { return a.Type == c.Type }) {
			p.Status.Conditions = append(p.Status.Conditions, gone{"delete", c.Type})
		}
	}
	if p.Metadata.Annotations == nil && p.Status.LoadBalancer == nil && p.Status.Conditions == nil {
		return nil
	}
	return &p
}

// Type is for client.Patch, as Data.
func (*statusPatch) Type() types.PatchType { return types.StrategicMergePatchType }

// Data returns the patch as JSON.
func (p *statusPatch) Data(client.Object) ([]byte, error) { return json.Marshal(p) }

var _ client.Patch = (*statusPatch)(nil)

func sameIngress(a, b corev1.LoadBalancerIngress) bool { return reflect.DeepEqual(a, b) }

// annotationsPatch returns what is to be done to the annotations that Fairlead writes; nil removes one.
func annotationsPatch(before, after map[string]string) map[string]*string {
	var out map[string]*string
	for _, key := range kube.Written {
		was, had := before[key]
		is, has := after[key]
		if was == is && had == has {
			continue
		}
		if out == nil {
			out = map[string]*string{}
		}
		if out[key] = nil; has {
			out[key] = &is
		}
	}
	return out
}

// Strip returns the patch that removes all marks of Fairlead from a Service: its annotations and conditions. The address stays, and
// is from then on one that nobody of Fairlead's has assigned. nil if there is nothing to remove.
func Strip(svc *corev1.Service) client.Patch {
	after := svc.DeepCopy()
	unrender(after)
	if p := patchOf(svc, after); p != nil {
		return p
	}
	return nil
}
