package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// An Explanation is the way from a Service to its clients, step by step.
type Explanation struct {
	Service string `json:"service"`
	Steps   []Step `json:"steps"`
	// Mend is the command that mends the first thing that is wrong.
	Mend string `json:"mend,omitempty"`
}

// A Step is one thing that must be so for a Service to be reached.
type Step struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Reason and Message say what is so.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message"`
	// Details are what it depends on: pools, nodes, routers.
	Details []Detail `json:"details,omitempty"`

	mend     string
	severity Severity
}

// A Detail is one thing that a Step depends on.
type Detail struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Explain explains a Service; false if there is none of this name.
func (c *Cluster) Explain(namespace, name string) (Explanation, bool) {
	svc := c.service(namespace, name)
	if svc == nil {
		return Explanation{}, false
	}
	e := Explanation{Service: namespace + "/" + name, Steps: c.view().chain(svc)}
	for _, s := range e.Steps {
		if !s.OK {
			e.Mend = s.mend
			break
		}
	}
	return e, true
}

// chain is every step of a Service; it ends where the next would make no sense.
func (v *view) chain(svc *corev1.Service) []Step {
	served := v.served(svc)
	out := []Step{served}
	if !served.OK {
		return out
	}
	assigned := v.assigned(svc)
	if out = append(out, assigned); len(kube.ServiceOf(svc).Shown) == 0 {
		return out
	}
	endpoints := v.reachable(svc)
	out = append(out, endpoints, v.announcedBy(svc, endpoints.OK))
	if found := v.conflicts(svc); len(found) > 0 {
		out = append(out, Step{Name: "Unique", Reason: "AddressConflict", Message: strings.Join(found, "; "), severity: Error})
	}
	return out
}

// conflicts are the other hosts that use addresses of a Service, as speakers report them.
func (v *view) conflicts(svc *corev1.Service) []string {
	var out []string
	for i := range v.Speakers.Items {
		for _, x := range kube.ConflictsOf(&v.Speakers.Items[i]) {
			if x.Namespace == svc.Namespace && x.Service == svc.Name {
				out = append(out, fmt.Sprintf("%s is also used by the host with MAC address %s, seen by node %s on %s", x.Addr, x.MAC, x.Node, x.Link))
			}
		}
	}
	return out
}

// served: it is of type LoadBalancer, and of a class that Fairlead serves.
func (v *view) served(svc *corev1.Service) Step {
	s := Step{Name: "Served", severity: Warning}
	class := "no class"
	if c := svc.Spec.LoadBalancerClass; c != nil {
		class = fmt.Sprintf("class %q", *c)
	}
	switch {
	case svc.Spec.Type != corev1.ServiceTypeLoadBalancer:
		s.Reason, s.Message = "NotLoadBalancer", fmt.Sprintf("its type is %s: only Services of type LoadBalancer get addresses", svc.Spec.Type)
		s.mend = on(svc, "patch", `-p '{"spec":{"type":"LoadBalancer"}}'`)
	case !v.class.Serves(svc):
		s.Reason, s.Message = "OtherClass", fmt.Sprintf("it has %s; Fairlead serves %s", class, v.class)
		s.mend = fmt.Sprintf("kubectl -n %s get deployment controller -o yaml", v.System)
	default:
		s.OK, s.Message = true, "type LoadBalancer, "+class
	}
	return s
}

// assigned: it has the addresses that it asks for.
func (v *view) assigned(svc *corev1.Service) Step {
	s := Step{Name: "Assigned", severity: Error}
	c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAssigned)
	if c == nil || c.ObservedGeneration < svc.Generation {
		s.Reason, s.Message = "NotSeen", "the controller has not looked at it yet, as it is now"
		s.mend = fmt.Sprintf("kubectl -n %s get pods -l app.kubernetes.io/component=controller", v.System)
		return s
	}
	s.Reason, s.Message = c.Reason, c.Message
	if s.OK = c.Status == metav1.ConditionTrue && c.Reason == "Assigned"; s.OK {
		return s
	}
	if c.Status == metav1.ConditionTrue { // it has some, and keeps them
		s.severity = Warning
	}
	s.mend = v.mendRequest(svc, c.Reason)
	for _, p := range v.snapshot.Pools() {
		s.Details = append(s.Details, Detail{"pool " + p.Name, v.offer(p, svc)})
	}
	return s
}

// offer says what a pool has for a Service.
func (v *view) offer(p *config.Pool, svc *corev1.Service) string {
	var families []string
	for _, f := range svc.Spec.IPFamilies {
		if p.Size(config.Family(f)) == 0 {
			families = append(families, "has no "+string(f)+" addresses")
			continue
		}
		used, total := v.use(p, config.Family(f))
		families = append(families, fmt.Sprintf("%s: %d of %d in use", f, used, total))
	}
	text := strings.Join(families, "; ")
	switch {
	case p.Refused:
		return "is not accepted; " + text
	case !v.admits(p, svc):
		return "does not admit it (serviceAllocation); " + text
	case !p.AutoAssign:
		return "is only for Services that ask for it (autoAssign: false); " + text
	default:
		return text
	}
}

// use returns how many addresses of a pool are in use, of how many.
func (v *view) use(p *config.Pool, f config.Family) (used int, total int64) {
	return v.used[pooled{p, f}], p.Size(f)
}

// reachable: there are endpoints that serve.
func (v *view) reachable(svc *corev1.Service) Step {
	s := Step{Name: "Endpoints", severity: Error}
	if on := v.endpoints[svc.Namespace+"/"+svc.Name]; len(on) > 0 {
		s.OK, s.Message = true, fmt.Sprintf("%d ready", len(on))
		count := map[string]int{}
		for _, node := range on {
			count[node]++
		}
		for _, node := range slices.Compact(slices.Clone(on)) {
			if node != "" {
				s.Details = append(s.Details, Detail{"node " + node, strconv.Itoa(count[node])})
			}
		}
		return s
	}
	s.Reason, s.Message = string(announce.NoEndpoints), "no pod that it selects is ready"
	if len(svc.Spec.Selector) == 0 {
		s.Message = "it has no selector, and no EndpointSlice with endpoints that are ready"
		s.mend = fmt.Sprintf("kubectl -n %s get endpointslices -l kubernetes.io/service-name=%s", svc.Namespace, svc.Name)
		return s
	}
	s.mend = v.mendEndpoints(svc)
	return s
}

// mendEndpoints is what gives a Service endpoints: more than no replicas of what it selects, or the labels of the one Deployment that
// it may mean.
func (v *view) mendEndpoints(svc *corev1.Service) string {
	selector := labels.SelectorFromSet(svc.Spec.Selector)
	var there []*appsv1.Deployment
	for i := range v.Deployments.Items {
		d := &v.Deployments.Items[i]
		if d.Namespace != svc.Namespace {
			continue
		}
		there = append(there, d)
		if r := d.Spec.Replicas; selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			if r != nil && *r == 0 {
				return fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=1", d.Namespace, d.Name)
			}
			return fmt.Sprintf("kubectl -n %s get pods -l %s", svc.Namespace, labels.Set(svc.Spec.Selector))
		}
	}
	if len(there) == 1 && there[0].Spec.Selector != nil && len(there[0].Spec.Selector.MatchLabels) > 0 {
		text, err := json.Marshal(there[0].Spec.Selector.MatchLabels)
		if err == nil {
			return on(svc, "patch", `--type=json -p '[{"op":"replace","path":"/spec/selector","value":`+string(text)+`}]'`)
		}
	}
	return fmt.Sprintf("kubectl -n %s get pods -l %s", svc.Namespace, labels.Set(svc.Spec.Selector))
}

// announcedBy: nodes announce its addresses. That it has no endpoints is a step of its own.
func (v *view) announcedBy(svc *corev1.Service, endpoints bool) Step {
	s := Step{Name: "Announced", severity: Error}
	c := meta.FindStatusCondition(svc.Status.Conditions, v1beta1.ServiceConditionAnnounced)
	switch {
	case c == nil:
		s.Reason, s.Message = "NotSeen", "no speaker has looked at it yet"
		s.mend = fmt.Sprintf("kubectl -n %s get pods -l app.kubernetes.io/component=speaker -o wide", v.System)
	case c.Status == metav1.ConditionTrue && c.Reason == string(announce.Announced):
		s.OK, s.Reason, s.Message = true, c.Reason, c.Message
	default:
		s.Reason, s.Message = c.Reason, c.Message
	}
	x := kube.ServiceOf(svc)
	a := v.announced(&x)
	for _, addr := range x.Shown {
		s.Details = append(s.Details, v.nodesFor(a, addr, len(x.Shown) > 1)...)
		s.Details = append(s.Details, v.routersFor(a, addr)...)
	}
	if s.mend == "" && !s.OK {
		s.mend = v.mendAnnouncement(svc, a, announce.Reason(s.Reason), endpoints)
	}
	return s
}

// nodesFor says of each node whether it announces an address, could, or why not.
func (v *view) nodesFor(a *announce.Service, addr netip.Addr, several bool) []Detail {
	var out []Detail
	obstacles := announce.Obstacles(v.snapshot, v.nodes, addr, a)
	record := a.Record[addr]
	for _, node := range slices.Sorted(maps.Keys(obstacles)) {
		d := Detail{"node " + node, obstacles[node]}
		switch place := slices.Index(record, node); {
		case d.Message != "":
		case place == 0:
			d.Message = "announces"
		case place == 1:
			d.Message = "would be next"
		default:
			d.Message = "could announce"
		}
		if several {
			d.Message = addr.String() + ": " + d.Message
		}
		out = append(out, d)
	}
	return out
}

// routersFor says of each router that an address is announced to how many sessions there are.
func (v *view) routersFor(a *announce.Service, addr netip.Addr) []Detail {
	p := v.snapshot.PoolOf(addr)
	if p == nil || len(v.snapshot.BGPFor(p, a.Labels)) == 0 {
		return nil
	}
	var out []Detail
	for _, x := range announce.At(v.snapshot, v.nodes, addr, []*announce.Service{a}) {
		for _, name := range x.BGP.Peers {
			d := Detail{"peer " + name, "announced"}
			for i := range v.Peers.Items {
				if peer := &v.Peers.Items[i]; peer.Name == name {
					d.Message = peer.Status.Sessions
				}
			}
			out = append(out, d)
		}
		if x.BGP.Message != "" {
			out = append(out, Detail{"BGP", x.BGP.Message})
		}
	}
	return out
}

// mendAnnouncement is what mends an address that nobody announces.
func (v *view) mendAnnouncement(svc *corev1.Service, a *announce.Service, why announce.Reason, endpoints bool) string {
	switch {
	case !endpoints:
		return v.reachable(svc).mend
	case len(a.Addresses) == 0:
		return ""
	}
	p := v.snapshot.PoolOf(a.Addresses[0])
	switch why {
	case announce.NoPool:
		return pool("restored", a.Addresses[0])
	case announce.NoAdvertisement:
		if p != nil {
			return apply("L2Advertisement", "", p.Name, map[string]any{"ipAddressPools": []string{p.Name}})
		}
	case announce.NoNode:
		for i := range v.nodes {
			if v.nodes[i].Excluded {
				return "kubectl label node " + v.nodes[i].Name + " " + corev1.LabelNodeExcludeBalancers + "-"
			}
		}
		if p == nil {
			break
		}
		if ads := v.snapshot.L2For(p, a.Labels); len(ads) > 0 {
			l := ads[0]
			if len(a.Endpoints) > 0 && !l.AnyInterface() && slices.ContainsFunc(v.nodes, func(n announce.Node) bool { return l.SelectsNode(n.Labels) }) {
				return unset("l2advertisement "+l.Name, "interfaces")
			}
			return unset("l2advertisement "+l.Name, "nodeSelectors")
		}
	case announce.Announced, announce.NoEndpoints, announce.AddressConflict:
	}
	return on(svc, "describe", "")
}

// wrong reports whether any step is.
func (e Explanation) wrong() bool {
	return slices.ContainsFunc(e.Steps, func(s Step) bool { return !s.OK })
}

// write prints the explanation.
func (e Explanation) write(w io.Writer) error {
	p := printer{w: w}
	p.printf("Service %s\n\n", e.Service)
	for _, s := range e.Steps {
		mark := "ok"
		if !s.OK {
			mark = "wrong"
		}
		text := s.Message
		if !s.OK && s.Reason != "" {
			text = s.Reason + ": " + text
		}
		p.hanging(fmt.Sprintf("%-6s%-11s", mark, s.Name), text)
		for _, d := range s.Details {
			p.hanging(fmt.Sprintf("%17s%-14s ", "", d.Name), d.Message)
		}
	}
	if e.Mend != "" {
		p.printf("\nTo mend it:\n  %s\n", e.Mend)
	}
	return p.err
}
