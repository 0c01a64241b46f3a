package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A Verdict is what there is to say of one object of a file.
type Verdict struct {
	Finding
	// At is the file and the line where the object begins.
	At string `json:"at"`
}

// A Validation is what validate prints.
type Validation struct {
	Objects  int       `json:"objects"`
	Verdicts []Verdict `json:"verdicts"`
}

// faulty reports whether there is anything worse than a warning.
func faulty(vs []Verdict) bool {
	return slices.ContainsFunc(vs, func(v Verdict) bool { return v.Severity == Error })
}

// verdicts prints a line for each.
func (p *printer) verdicts(vs []Verdict) {
	for _, x := range vs {
		p.printf("%s: %s: %s: %s: %s\n", x.At, x.Severity, x.Object, x.Reason, x.Message)
	}
}

// Validate puts documents into a cluster, in place of those of the same name, and says what the controller would say of them, and
// of others because of them.
func (c *Cluster) Validate(docs []document) (Validation, error) {
	c.build()
	before := map[string]bool{}
	for _, p := range c.problems {
		before[p.String()] = true
	}
	out := Validation{Verdicts: []Verdict{}}
	at := map[string]string{}
	for _, d := range docs {
		o, ok := d.object.(client.Object)
		if !ok || o.GetObjectKind().GroupVersionKind().Group != "fairlead.io" {
			continue
		}
		kind := o.GetObjectKind().GroupVersionKind().Kind
		key := kind + " " + o.GetName()
		if twice, seen := at[key]; seen && kind != "IPClaim" {
			out.Verdicts = append(out.Verdicts, Verdict{Finding{Error, strings.ToLower(key), "Duplicate", "it is also at " + twice, ""}, d.at})
			continue
		}
		at[key] = d.at
		if err := c.add(d.object); err != nil {
			return out, fmt.Errorf("%s: %w", d.at, err)
		}
		out.Objects++
	}
	c.build()
	for _, p := range c.problems {
		key := string(p.Kind) + " " + p.Name
		place, ours := at[key]
		if !ours {
			if before[p.String()] {
				continue // it is not due to the files
			}
			place = "cluster"
		}
		f := Finding{Error, strings.ToLower(key), string(p.Reason), p.Message, ""}
		if p.Reason.Warns() {
			f.Severity = Warning
		}
		out.Verdicts = append(out.Verdicts, Verdict{f, place})
	}
	return out, nil
}

func (v Validation) write(w io.Writer) error {
	p := printer{w: w}
	p.verdicts(v.Verdicts)
	if len(v.Verdicts) == 0 {
		p.printf("%d objects, nothing is wrong with them\n", v.Objects)
	}
	return p.err
}
