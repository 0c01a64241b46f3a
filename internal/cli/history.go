package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// A History is what happened to addresses, the latest first.
type History []Happening

// A Happening is one change of who has, or announces, an address.
type Happening struct {
	Time    time.Time `json:"time"`
	Address string    `json:"address"`
	// Of is the Service or IPClaim.
	Of   string `json:"of"`
	What string `json:"what"`
}

// History returns what is known of a Service, of an address, or with neither of all.
func (c *Cluster) History(service string, addr netip.Addr) History {
	out := History{}
	add := func(at time.Time, a netip.Addr, of, what string) {
		if (service == "" || of == "service "+service) && (!addr.IsValid() || a == addr) {
			out = append(out, Happening{at.UTC(), a.String(), of, what})
		}
	}
	for i := range c.Services.Items {
		svc := &c.Services.Items[i]
		for _, x := range kube.History(svc.Annotations[kube.AnnotationHistory]) {
			add(x.At, x.Addr, "service "+svc.Namespace+"/"+svc.Name, x.What)
		}
	}
	for i := range c.Pools.Items {
		for _, x := range c.Pools.Items[i].Status.Released {
			of := strings.ToLower(x.Kind) + " " + x.Namespace + "/" + x.Name
			if !slices.ContainsFunc(out, func(h Happening) bool { // its own history says why
				return h.Of == of && h.Address == x.Address && strings.HasPrefix(h.What, "released") && h.Time.Sub(x.Time.Time).Abs() < 2*time.Second
			}) {
				add(x.Time.Time, parsed(x.Address), of, "released, to pool "+c.Pools.Items[i].Name)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Happening) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Of, b.Of), parsed(a.Address).Compare(parsed(b.Address)))
	})
	return out
}

func (h History) write(w io.Writer) error {
	p := printer{w: w}
	if len(h) == 0 {
		p.printf("Nothing is known.\n")
		return p.err
	}
	for _, x := range h {
		p.hanging(fmt.Sprintf("%s  %s  ", x.Time.Format(time.RFC3339), x.Address), x.Of+": "+x.What)
	}
	return p.err
}

func (a *app) history() *cobra.Command {
	cmd := a.look("history [[NAMESPACE/]NAME | ADDRESS]", "Show who had an address, which node announced it, when, and why it moved", cobra.MaximumNArgs(1),
		func(c *Cluster, args []string) (report, bool, error) {
			if len(args) == 0 {
				return c.History("", netip.Addr{}), false, nil
			}
			if addr, err := netip.ParseAddr(args[0]); err == nil {
				return c.History("", addr), false, nil
			}
			namespace, name, found := strings.Cut(args[0], "/")
			if !found {
				namespace, name = a.namespace, namespace
			}
			if !slices.ContainsFunc(c.view().ours, func(svc *corev1.Service) bool { return svc.Namespace == namespace && svc.Name == name }) {
				return nil, false, fmt.Errorf("there is no Service %s/%s that Fairlead serves; ask for its address", namespace, name)
			}
			return c.History(namespace+"/"+name, netip.Addr{}), false, nil
		})
	cmd.Example = "  kubectl fairlead history default/web\n  kubectl fairlead history 192.0.2.7"
	return cmd
}
