package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// TestLeave: who writes is stopped first; then all marks go, and no address does. It can be done again, also after a failure.
func TestLeave(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	service := func(name string, marked bool) *corev1.Service {
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{kube.AnnotationPool: "main", "other": "stays"}}}
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
		svc.Status.Conditions = []metav1.Condition{{Type: "example.com/Other", Status: metav1.ConditionTrue}}
		if marked {
			for _, k := range []string{kube.AnnotationAllocatedFrom, kube.AnnotationAnnouncers, kube.AnnotationInUse, kube.AnnotationHistory, kube.AnnotationAdopted} {
				svc.Annotations[k] = "x"
			}
			for _, c := range []string{v1beta1.ServiceConditionAssigned, v1beta1.ServiceConditionAnnounced, v1beta1.ServiceConditionAddressConflict} {
				svc.Status.Conditions = append(svc.Status.Conditions, metav1.Condition{Type: c, Status: metav1.ConditionTrue})
			}
		}
		return svc
	}
	two := int32(2)
	refused := 0
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "fairlead-system", Name: "controller"}, Spec: appsv1.DeploymentSpec{Replicas: &two}},
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "fairlead-system", Name: "speaker"}},
		service("web", true), service("second", true), service("others", false),
	).WithInterceptorFuncs(interceptor.Funcs{
		// A status patch of a Service changes annotations too, which the fake client does not know.
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if o.GetName() == "second" && refused == 0 {
				refused++
				return apierrors.NewConflict(schema.GroupResource{Resource: "services"}, o.GetName(), nil)
			}
			var patch struct {
				Metadata struct{ Annotations map[string]*string }
			}
			data, err := p.Data(o)
			if err := errors.Join(err, json.Unmarshal(data, &patch), c.SubResource(sub).Patch(ctx, o, p, opts...)); err != nil {
				return err
			}
			annotations := o.GetAnnotations()
			for k, v := range patch.Metadata.Annotations {
				if v != nil {
					t.Errorf("%s is set to %s", k, *v)
				}
				delete(annotations, k)
			}
			o.SetAnnotations(annotations)
			return c.Update(ctx, o)
		},
	}).Build()
	var out strings.Builder
	d := &departure{client: api, system: "fairlead-system", keepSpeakers: true, say: func(f string, args ...any) { fmt.Fprintf(&out, f, args...) }}
	get := func(name string) *corev1.Service {
		svc := &corev1.Service{}
		if err := api.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, svc); err != nil {
			t.Fatal(err)
		}
		return svc
	}
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if get("web").Annotations[kube.AnnotationAllocatedFrom] == "" {
		t.Error("stripped though the speakers go on")
	}
	d.keepSpeakers = false
	for range 2 {
		if err := d.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"web", "second", "others"} {
			svc := get(name)
			if got := fmt.Sprint(svc.Annotations); got != fmt.Sprint(map[string]string{kube.AnnotationPool: "main", "other": "stays"}) {
				t.Errorf("%s has annotations %s", name, got)
			}
			if c := svc.Status.Conditions; len(c) != 1 || c[0].Type != "example.com/Other" {
				t.Errorf("%s has conditions %v", name, c)
			}
			if in := svc.Status.LoadBalancer.Ingress; len(in) != 1 || in[0].IP != "192.0.2.1" {
				t.Errorf("%s shows %v", name, in)
			}
		}
	}
	var controller appsv1.Deployment
	var speaker appsv1.DaemonSet
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: "fairlead-system", Name: "controller"}, &controller); err != nil || *controller.Spec.Replicas != 0 {
		t.Errorf("the controller is not stopped: %v", err)
	}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: "fairlead-system", Name: "speaker"}, &speaker); err != nil || speaker.Spec.Template.Spec.NodeSelector[stoppedLabel] == "" {
		t.Errorf("the speakers are not stopped: %v", err)
	}
	if refused == 0 || !strings.Contains(out.String(), "2 Services keep their 2 addresses") {
		t.Errorf("after %d conflicts it says:\n%s", refused, &out)
	}
}

// TestLeaveAsks: it is not done by mistake.
func TestLeaveAsks(t *testing.T) {
	if status, _, errs := run(t, "leave"); status != 2 || !strings.Contains(errs, "--yes") {
		t.Errorf("status %d: %s", status, errs)
	}
}
