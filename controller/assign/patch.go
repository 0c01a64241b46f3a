package assign

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// statusPatch is a strategic merge patch of what Fairlead writes to a Service. The
// resource version in it makes the API server refuse it for any but the Service that was
// read. Comparing two Services as JSON would cost more than all else that is done for one.
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

// patchOf returns the patch that makes of one Service the other, as far as render and unrender change it.
func patchOf(before, after *corev1.Service) (client.Patch, error) {
	var p statusPatch
	p.Metadata.ResourceVersion = before.ResourceVersion
	const mark = kube.AnnotationAllocatedFrom
	was, had := before.Annotations[mark]
	switch is, has := after.Annotations[mark]; {
	case has && is != was:
		p.Metadata.Annotations = map[string]*string{mark: &is}
	case had && !has:
		p.Metadata.Annotations = map[string]*string{mark: nil}
	}
	if in := after.Status.LoadBalancer.Ingress; !equality.Semantic.DeepEqual(before.Status.LoadBalancer.Ingress, in) {
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
	data, err := json.Marshal(&p)
	return client.RawPatch(types.StrategicMergePatchType, data), err
}
