package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// readAt is the first line of a bundle, before the time.
const readAt = "# read at "

// bundle writes all that was read as YAML documents. There are no Secrets among them, and managed fields are left out.
func (c *Cluster) bundle(w io.Writer) error {
	scheme, err := kube.NewScheme()
	if err != nil {
		return err
	}
	p := printer{w: w}
	p.printf("%s%s\n", readAt, c.Now.UTC().Format(time.RFC3339))
	for _, l := range lists {
		err := meta.EachListItem(l.into(c), func(o runtime.Object) error {
			gvk, err := apiutil.GVKForObject(o, scheme)
			if err != nil {
				return err
			}
			return p.document(o, gvk)
		})
		if err != nil {
			return fmt.Errorf("write %ss: %w", l.kind, err)
		}
	}
	return p.err
}

func (p *printer) document(o runtime.Object, gvk schema.GroupVersionKind) error {
	o = o.DeepCopyObject()
	o.GetObjectKind().SetGroupVersionKind(gvk)
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	text, err := yaml.Marshal(o)
	if err != nil {
		return err
	}
	p.printf("---\n%s", text)
	return nil
}

// fromBundle reads what bundle has written.
func fromBundle(path, system string) (*Cluster, error) {
	text, err := os.ReadFile(path) //nolint:gosec // it is the file that the user names
	if err != nil {
		return nil, err
	}
	r, err := newReader()
	if err != nil {
		return nil, err
	}
	docs, err := r.read(path, text)
	if err != nil {
		return nil, err
	}
	c := &Cluster{System: system, Now: bundleTime(text), Unread: map[string]string{}}
	return c, c.fill(docs)
}

// bundleTime is when a bundle was written; now, if it does not say.
func bundleTime(text []byte) time.Time {
	var stamp string
	if _, err := fmt.Sscanf(string(text[:min(len(text), 64)]), readAt+"%s", &stamp); err == nil {
		if t, err := time.Parse(time.RFC3339, stamp); err == nil {
			return t
		}
	}
	return time.Now()
}

// fill puts objects into an empty Cluster, by kind.
func (c *Cluster) fill(docs []document) error {
	byKind := map[string][]runtime.Object{}
	for _, d := range docs {
		kind := kindOf(d.object)
		byKind[kind] = append(byKind[kind], d.object)
	}
	for _, l := range lists {
		if err := meta.SetList(l.into(c), byKind[l.kind]); err != nil {
			return fmt.Errorf("read %ss: %w", l.kind, err)
		}
	}
	return nil
}
