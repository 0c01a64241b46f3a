package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead-lb/fairlead/controller/assign"
	"github.com/fairlead-lb/fairlead/controller/place"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/ipam"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A Plan is what becomes of Services by a change, before it is made.
type Plan struct {
	Services int `json:"services"`
	// Changes are those of which anything changes.
	Changes []Change `json:"changes"`
}

// A Change is what becomes of one Service.
type Change struct {
	Service string   `json:"service"`
	Before  []string `json:"before"`
	After   []string `json:"after"`
	// What is one word: gains, loses or changes, of addresses; moves, of who announces them; unannounced; announced.
	What string `json:"what"`
	// Why is for people; empty where there is nothing to say.
	Why string `json:"why,omitempty"`
}

// requests are what all ask for whom the controller decides about.
func (v *view) requests() map[ipam.Key]ipam.Request {
	out := map[ipam.Key]ipam.Request{}
	add := func(r ipam.Request) { out[r.Key] = r }
	for i := range v.Services.Items {
		switch svc := &v.Services.Items[i]; {
		case v.class.Serves(svc):
			s := kube.ServiceOf(svc)
			add(assign.RequestOf(&s, v.namespaces[svc.Namespace]))
		case svc.Spec.Type == corev1.ServiceTypeLoadBalancer:
			add(assign.ReservationOf(svc))
		}
	}
	for i := range v.Claims.Items {
		add(assign.ClaimRequestOf(&v.Claims.Items[i], v.namespaces[v.Claims.Items[i].Namespace]))
	}
	return out
}

// settled decides about all until nothing changes any more, as the controller does with time.
func settled(st *ipam.State, requests map[ipam.Key]ipam.Request) map[ipam.Key]ipam.Decision {
	out := map[ipam.Key]ipam.Decision{}
	st.Advance(2 * ipam.PoolGrace)
	due := slices.SortedFunc(maps.Keys(requests), func(a, b ipam.Key) int { return strings.Compare(a.String(), b.String()) })
	const rounds = 100 // a few are enough, unless two wait for each other
	for range rounds {
		if len(due) == 0 {
			break
		}
		for _, k := range due {
			if r, known := requests[k]; known {
				d := st.Settle(r)
				d.Lost = cmp.Or(d.Lost, out[k].Lost)
				out[k] = d
				st.Left(k, slices.Clone(st.Leaving(k)))
			}
		}
		due = st.Others()
	}
	return out
}

// Plan says what becomes of the Services of a cluster where it turns into another.
func (c *Cluster) Plan(after *Cluster) Plan {
	before, then := c.view(), after.view()
	requests := then.requests()
	st := ipam.Load(before.snapshot, slices.Collect(maps.Values(before.requests())))
	st.Reconfigure(then.snapshot)
	decisions := settled(st, requests)
	out := Plan{Changes: []Change{}}
	for _, svc := range then.ours {
		out.Services++
		x, changes := changeOf(svc, decisions)
		if changes || x.announcers(before, then, svc) {
			out.Changes = append(out.Changes, x)
		}
	}
	return out
}

// changeOf returns what becomes of the addresses of a Service, and reports whether anything does. What another implementation has
// assigned, and no pool contains, stays.
func changeOf(svc *corev1.Service, decisions map[ipam.Key]ipam.Decision) (x Change, changes bool) {
	k := ipam.Key{Namespace: svc.Namespace, Name: svc.Name}
	d := decisions[k]
	was, _ := kube.Shown(svc)
	x = Change{Service: k.String(), Before: texts(was), After: texts(d.Addresses)}
	if d.Foreign {
		x.After = x.Before
	}
	lost, gained := without(x.Before, x.After), without(x.After, x.Before)
	switch {
	case len(lost) == 0 && len(gained) == 0:
		return x, false
	case len(lost) == 0:
		x.What = "gains"
	case len(gained) == 0:
		x.What = "loses"
	default:
		x.What = "changes"
	}
	x.Why = strings.Trim(d.Lost+"; "+d.Message, "; ")
	return x, true
}

// announcers notes which addresses are announced by other nodes than before, and reports whether any is.
func (x *Change) announcers(before, then *view, svc *corev1.Service) bool {
	s := kube.ServiceOf(svc)
	var moves []string
	for _, a := range s.Shown {
		was, is := before.announcement(&s, a), then.announcement(&s, a)
		switch {
		case was.Node == is.Node:
			continue
		case is.Node == "":
			x.What = "unannounced"
			moves = append(moves, fmt.Sprintf("%s: %s", a, is.Message))
		case was.Node == "":
			x.What = "announced"
			moves = append(moves, fmt.Sprintf("%s by %s", a, is.Node))
		default:
			x.What = "moves"
			connections := "break"
			if place.KeepsConnections(before.Speakers.Items) {
				connections = "go on"
			}
			moves = append(moves, fmt.Sprintf("%s from %s to %s: open connections %s", a, was.Node, is.Node, connections))
		}
	}
	x.Why = strings.Join(moves, "; ")
	return len(moves) > 0
}

// announcement is what becomes of an address by layer 2, with all who share it.
func (v *view) announcement(s *kube.Service, a netip.Addr) announce.Announcement {
	key := announce.Key{Namespace: s.Namespace, Name: s.Name}
	for _, x := range announce.At(v.snapshot, v.nodes, a, v.sharers[a]) {
		if x.Service == key {
			return x
		}
	}
	return announce.Announcement{}
}

// drained returns the cluster without a node: none of its pods serves, and it announces nothing.
func (c *Cluster) drained(node string) (*Cluster, error) {
	out := c.copy()
	found := false
	for i := range out.Nodes.Items {
		if n := &out.Nodes.Items[i]; n.Name == node {
			found = true
			if n.Labels == nil {
				n.Labels = map[string]string{}
			}
			n.Labels[corev1.LabelNodeExcludeBalancers] = ""
		}
	}
	if !found {
		return nil, fmt.Errorf("there is no Node %s", node)
	}
	for i := range out.Slices.Items {
		s := &out.Slices.Items[i]
		kept := s.Endpoints[:0]
		for _, e := range s.Endpoints {
			if e.NodeName == nil || *e.NodeName != node {
				kept = append(kept, e)
			}
		}
		s.Endpoints = kept
	}
	return out, nil
}

// copy returns a Cluster of the same objects that can be changed.
func (c *Cluster) copy() *Cluster {
	out := *c
	out.snapshot, out.problems, out.seen = nil, nil, nil
	c.Services.DeepCopyInto(&out.Services)
	c.Slices.DeepCopyInto(&out.Slices)
	c.Nodes.DeepCopyInto(&out.Nodes)
	c.Namespaces.DeepCopyInto(&out.Namespaces)
	c.Pools.DeepCopyInto(&out.Pools)
	c.Claims.DeepCopyInto(&out.Claims)
	c.L2Advertisements.DeepCopyInto(&out.L2Advertisements)
	c.BGPAdvertisements.DeepCopyInto(&out.BGPAdvertisements)
	c.Peers.DeepCopyInto(&out.Peers)
	c.BFDProfiles.DeepCopyInto(&out.BFDProfiles)
	c.Communities.DeepCopyInto(&out.Communities)
	return &out
}

func texts(addrs []netip.Addr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}

func without(list, other []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			out = append(out, s)
		}
	}
	return out
}

func (r Plan) write(w io.Writer) error {
	p := printer{w: w}
	if len(r.Changes) > 0 {
		var rows [][]string
		for _, c := range r.Changes {
			rows = append(rows, []string{c.Service, strings.Join(c.Before, ","), strings.Join(c.After, ","), c.What, c.Why})
		}
		p.table("SERVICE BEFORE AFTER WHAT WHY", rows)
		p.printf("\n")
	}
	p.printf("%d of %d Services change\n", len(r.Changes), r.Services)
	return p.err
}
