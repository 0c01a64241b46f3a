package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fairlead-lb/fairlead/ipam"
)

// A Rehearsal is what a migration would do.
type Rehearsal struct {
	Plan
	// Findings are of the configuration.
	Findings []Verdict `json:"findings"`
	// Flags that both programs need, and SpeakerFlags that the speakers do.
	Flags        []string `json:"flags,omitempty"`
	SpeakerFlags []string `json:"speakerFlags,omitempty"`
}

// rehearse says what becomes of the Services that MetalLB serves, with the converted configuration.
func rehearse(c Conversion, services []corev1.Service, namespaces []corev1.Namespace) (Rehearsal, error) {
	then := &Cluster{Flags: c.Flags}
	then.Services.Items, then.Namespaces.Items = services, namespaces
	docs := make([]document, len(c.Objects))
	for i, o := range c.Objects {
		docs[i] = document{"converted", o}
	}
	checked, err := then.Validate(docs)
	if err != nil {
		return Rehearsal{}, err
	}
	out := Rehearsal{Findings: append(slices.Clone(c.Findings), checked.Verdicts...), Flags: c.Flags, SpeakerFlags: c.SpeakerFlags}
	v := then.view()
	requests := v.requests()
	decisions := settled(ipam.Load(v.snapshot, slices.Collect(maps.Values(requests))), requests)
	out.Changes = []Change{}
	for _, svc := range v.ours {
		out.Services++
		if x, changes := changeOf(svc, decisions); changes {
			out.Changes = append(out.Changes, x)
		}
	}
	return out, nil
}

func (r Rehearsal) write(w io.Writer) error {
	p := printer{w: w}
	p.verdicts(r.Findings)
	flags("", r.Flags, r.SpeakerFlags, &p)
	if len(r.Findings)+len(r.Flags)+len(r.SpeakerFlags) > 0 {
		p.printf("\n")
	}
	if p.err != nil {
		return p.err
	}
	return r.Plan.write(w)
}

// flags prints which flags Fairlead's programs need.
func flags(prefix string, both, speaker []string, p *printer) {
	if len(both) > 0 {
		p.printf("%sGive the controller and the speakers: %s\n", prefix, strings.Join(both, " "))
	}
	if len(speaker) > 0 {
		p.printf("%sGive the speakers: %s\n", prefix, strings.Join(speaker, " "))
	}
}

// manifests are the converted objects as they are to be applied.
func (c Conversion) manifests(w io.Writer) error {
	p := printer{w: w}
	flags("# ", c.Flags, c.SpeakerFlags, &p)
	for _, f := range c.Findings {
		p.printf("# %s: %s: %s\n", f.Severity, f.Object, f.Message)
	}
	for i, o := range c.Objects {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return err
		}
		delete(fields, "status")
		unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
		text, err := yaml.Marshal(fields)
		if err != nil {
			return err
		}
		if i > 0 {
			p.printf("---\n")
		}
		p.printf("%s", text)
	}
	return p.err
}

// metalLB is the configuration of MetalLB, and the Services that it may serve.
type metalLB struct {
	objects    []foreign
	services   []corev1.Service
	namespaces []corev1.Namespace
}

func (a *app) migrate() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Come over from another load balancer"}
	cmd.AddCommand(a.migrateMetalLB())
	return cmd
}

func (a *app) migrateMetalLB() *cobra.Command {
	o := &migration{}
	cmd := &cobra.Command{
		Use: "metallb", Short: "Come over from MetalLB: convert its configuration, rehearse, take over", Args: cobra.NoArgs,
		Long: `Write MetalLB's configuration as Fairlead's manifests; with --rehearse, say what would become of each Service; with --apply, take over.

What has no equivalent is named and stops it, with exit status 2. A rehearsal ends with exit status 1 if the address of any Service
would change. Services need not be edited: MetalLB's annotations are understood.

--apply takes over step by step, and says each. MetalLB's controller is stopped first; then Fairlead adopts the addresses and announces
them beside MetalLB, from the same nodes; then the nodes are handed over one by one. It can be run again where it was interrupted. MetalLB
stays installed: --back hands over to it again.`,
		Example: "  kubectl fairlead migrate metallb --rehearse\n  kubectl fairlead migrate metallb > fairlead.yaml\n" +
			"  kubectl fairlead migrate metallb --from metallb/\n  kubectl fairlead migrate metallb --apply",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.migrateFrom(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.from, "from", nil, "read this file or folder, or - for what comes in, and not a cluster; may be repeated")
	f.BoolVar(&o.rehearse, "rehearse", false, "say what would become of each Service")
	f.BoolVar(&o.apply, "apply", false, "take over from MetalLB")
	f.BoolVar(&o.back, "back", false, "hand over to MetalLB again, which --apply has stopped")
	f.BoolVar(&o.changes, "accept-changes", false, "with --apply: although Services would change")
	f.BoolVar(&o.paused, "paused", false, "with --apply: what watches over MetalLB, such as an operator or Argo CD, is paused")
	f.StringVar(&o.namespace, "metallb-namespace", "metallb-system", "`namespace` that MetalLB runs in")
	return cmd
}

// migration are the flags of migrate metallb.
type migration struct {
	from                                   []string
	rehearse, apply, back, paused, changes bool
	namespace                              string
}

// validate returns an error where flags do not go together.
func (o *migration) validate() error {
	doing := 0
	for _, is := range []bool{o.rehearse, o.apply, o.back} {
		if is {
			doing++
		}
	}
	if doing > 1 || len(o.from) > 0 && (o.apply || o.back) {
		return fmt.Errorf("%w: --rehearse, --apply and --back exclude each other, and --apply and --back read no files (--from)", errUsage)
	}
	return nil
}

func (a *app) migrateFrom(ctx context.Context, o *migration) error {
	if err := o.validate(); err != nil {
		return err
	}
	m, err := a.metalLB(ctx, o.from, o.namespace)
	if err != nil {
		return err
	}
	c := convert(m.objects, m.services)
	r, err := rehearse(c, m.services, m.namespaces)
	if err != nil {
		return err
	}
	c.Findings = r.Findings
	stopped := faulty(c.Findings)
	if stopped || o.rehearse {
		if err := output(a.out, a.format, r); err != nil {
			return err
		}
	}
	switch {
	case stopped:
		return errors.New("the configuration of MetalLB cannot be converted as it is: see the errors")
	case o.apply && len(r.Changes) > 0 && !o.changes:
		return fmt.Errorf("%d Services would change: see --rehearse; --accept-changes takes over all the same", len(r.Changes))
	case o.apply || o.back:
		return a.takeOver(ctx, c, o)
	case !o.rehearse:
		return c.manifests(a.out)
	case len(r.Changes) > 0:
		return errWrong
	default:
		return nil
	}
}

// takeOver takes over from MetalLB, or hands over to it again.
func (a *app) takeOver(ctx context.Context, c Conversion, o *migration) error {
	cluster, err := a.read(ctx)
	if err != nil {
		return err
	}
	api, err := a.connect(append(slices.Clone(metalKinds), metalL2Status)...)
	if err != nil {
		return err
	}
	x := &cutover{client: api, namespace: o.namespace, conversion: c, class: cluster.class(), say: func(format string, args ...any) {
		fmt.Fprintf(a.out, format, args...) //nolint:errcheck // what is done is done
	}}
	if o.back {
		return x.back(ctx)
	}
	if err := errors.Join(cluster.able(c), x.ready(ctx, o.paused)); err != nil {
		return err
	}
	if err := x.run(ctx); err != nil {
		return fmt.Errorf("%w\nTo go on, run it again. To go back: kubectl fairlead migrate metallb --back", err)
	}
	x.say("When all is as you expect (kubectl fairlead status), remove MetalLB. To go back: kubectl fairlead migrate metallb --back\n")
	return nil
}

// able returns an error where Fairlead does not run as it has to.
func (c *Cluster) able(x Conversion) error {
	var errs []error
	for _, f := range c.view().installation() {
		errs = append(errs, fmt.Errorf("%s: %s", f.Object, f.Message))
	}
	lacks := func(what string, pod *corev1.PodSpec, flags []string) {
		for _, flag := range flags {
			if !slices.ContainsFunc(pod.Containers, func(c corev1.Container) bool { return slices.Contains(c.Args, flag) }) {
				errs = append(errs, fmt.Errorf("the %s needs the flag %s", what, flag))
			}
		}
	}
	controller, speaker := c.installed()
	if controller != nil {
		lacks("controller", &controller.Spec.Template.Spec, x.Flags)
	}
	if speaker != nil {
		lacks("speaker", &speaker.Spec.Template.Spec, slices.Concat(x.Flags, x.SpeakerFlags))
	}
	return errors.Join(errs...)
}

// metalLB reads files, or a cluster.
func (a *app) metalLB(ctx context.Context, from []string, namespace string) (metalLB, error) {
	if len(from) > 0 {
		return metalFiles(from, a.in)
	}
	r, err := a.connect(metalKinds...)
	if err != nil {
		return metalLB{}, err
	}
	return metalCluster(ctx, r, namespace)
}

// metalFiles reads what there is of MetalLB, and Services, in files.
func metalFiles(paths []string, in io.Reader) (metalLB, error) {
	r, err := newReader()
	if err != nil {
		return metalLB{}, err
	}
	var out metalLB
	r.others = func(at string, doc []byte) error {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &u.Object); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if u.GroupVersionKind().Group == "metallb.io" {
			out.objects = append(out.objects, foreign{at, u})
		}
		return nil
	}
	docs, err := r.files(paths, in)
	if err != nil {
		return out, err
	}
	for _, d := range docs {
		switch o := d.object.(type) {
		case *corev1.Service:
			out.services = append(out.services, *o)
		case *corev1.Namespace:
			out.namespaces = append(out.namespaces, *o)
		case *corev1.Secret:
		default:
			fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
			if err != nil {
				return out, fmt.Errorf("%s: %w", d.at, err)
			}
			if u := (&unstructured.Unstructured{Object: fields}); relevant(u) {
				out.objects = append(out.objects, foreign{d.at, u})
			}
		}
	}
	if len(out.objects) == 0 {
		return out, fmt.Errorf("there is nothing of MetalLB in %s", strings.Join(paths, ", "))
	}
	return out, nil
}

// relevant are the objects of Kubernetes that have configuration of MetalLB.
func relevant(u *unstructured.Unstructured) bool {
	switch u.GetKind() {
	case "ConfigMap":
		return u.GetName() == "bgpextras" || u.GetName() == "metallb-excludel2"
	case "DaemonSet", "Deployment":
		return true
	default:
		return false
	}
}

// metalCluster reads what there is of MetalLB in a cluster, and its Services.
func metalCluster(ctx context.Context, r client.Reader, namespace string) (metalLB, error) {
	var out metalLB
	for _, gvk := range metalKinds {
		var l unstructured.UnstructuredList
		l.SetGroupVersionKind(gvk)
		switch err := r.List(ctx, &l, client.InNamespace(namespace)); {
		case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
			continue // a kind that this version of MetalLB does not have
		case err != nil:
			return out, fmt.Errorf("read %ss: %w", gvk.Kind, err)
		}
		for i := range l.Items {
			out.objects = append(out.objects, foreign{"cluster", &l.Items[i]})
		}
	}
	if len(out.objects) == 0 {
		return out, fmt.Errorf("there is nothing of MetalLB in namespace %s: see --metallb-namespace", namespace)
	}
	for _, gvk := range []schema.GroupVersionKind{
		appsv1.SchemeGroupVersion.WithKind("DaemonSet"), appsv1.SchemeGroupVersion.WithKind("Deployment"), corev1.SchemeGroupVersion.WithKind("ConfigMap"),
	} {
		var l unstructured.UnstructuredList
		l.SetGroupVersionKind(gvk)
		if err := r.List(ctx, &l, client.InNamespace(namespace)); err != nil {
			return out, fmt.Errorf("read %ss: %w", gvk.Kind, err)
		}
		for i := range l.Items {
			if relevant(&l.Items[i]) {
				out.objects = append(out.objects, foreign{"cluster", &l.Items[i]})
			}
		}
	}
	var services corev1.ServiceList
	var namespaces corev1.NamespaceList
	if err := r.List(ctx, &services); err != nil {
		return out, fmt.Errorf("read Services: %w", err)
	}
	if err := r.List(ctx, &namespaces); err != nil {
		return out, fmt.Errorf("read Namespaces: %w", err)
	}
	out.services, out.namespaces = services.Items, namespaces.Items
	return out, nil
}
