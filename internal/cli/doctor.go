package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// Findings are all that is wrong, the worst first.
func (c *Cluster) Findings() []Finding {
	v := c.view()
	var out []Finding
	for _, look := range []func() []Finding{
		v.installation, v.speakers, v.mtus, v.configuration, v.unadvertised, v.unmatched, v.exhausted, v.sessions, v.services, v.otherWriters,
	} {
		out = append(out, look()...)
	}
	return sorted(out)
}

// installation: the programs run.
func (v *view) installation() []Finding {
	controller, speaker := v.installed()
	var out []Finding
	if why := v.Unread["Deployment"] + v.Unread["DaemonSet"]; why != "" {
		return []Finding{{Warning, "namespace " + v.System, "Unread", "it is not known whether Fairlead's pods run: " + why, ""}}
	}
	absent := func(kind, name string) {
		out = append(out, Finding{
			Error, kind + " " + v.System + "/" + name, "NotInstalled", "there is none; is Fairlead in another namespace (--fairlead-namespace)?",
			"kubectl get " + kind + "s --all-namespaces -l app.kubernetes.io/name=fairlead",
		})
	}
	if controller == nil {
		absent("deployment", "controller")
	} else if controller.Status.AvailableReplicas == 0 {
		out = append(out, Finding{
			Error, "deployment " + v.System + "/controller", "NotAvailable", "no replica runs: Services get no addresses; those that have one keep it",
			v.mendController(controller),
		})
	}
	if speaker == nil {
		absent("daemonset", "speaker")
	} else if s := speaker.Status; s.NumberReady < s.DesiredNumberScheduled {
		out = append(out, Finding{
			Warning, "daemonset " + v.System + "/speaker", "NotReady", fmt.Sprintf("%d of %d speakers are ready", s.NumberReady, s.DesiredNumberScheduled),
			fmt.Sprintf("kubectl -n %s get pods -l app.kubernetes.io/component=speaker -o wide", v.System),
		})
	}
	if a, b := tag(controller), tag(speaker); a != "" && b != "" && a != b {
		out = append(out, Finding{
			Warning, "namespace " + v.System, "VersionSkew", fmt.Sprintf("the controller is %s, the speakers are %s", a, b),
			fmt.Sprintf("kubectl -n %s get deployment,daemonset -o wide", v.System),
		})
	}
	return append(out, v.versions(speaker)...)
}

// versions: where no roll-out is under way, all speakers have one version.
func (v *view) versions(speaker *appsv1.DaemonSet) []Finding {
	by := map[string]int{}
	for i := range v.Speakers.Items {
		if version := v.Speakers.Items[i].Status.Version; version != "" {
			by[version]++
		}
	}
	if len(by) < 2 || speaker == nil || speaker.Status.UpdatedNumberScheduled < speaker.Status.DesiredNumberScheduled {
		return nil
	}
	var parts []string
	for _, version := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%d are %s", by[version], version))
	}
	return []Finding{{
		Warning, "daemonset " + v.System + "/speaker", "VersionSkew", "speakers have different versions: " + strings.Join(parts, ", "),
		"kubectl get speakerstatuses",
	}}
}

// mtus: the interfaces in one subnet take packets of the same size. Where they do not, large packets between nodes are lost: those
// that are passed on, and those that kube-proxy sends to a pod elsewhere.
func (v *view) mtus() []Finding {
	by := v.interfaces()
	var out []Finding
	said := map[port]bool{}
	for _, subnet := range slices.Sorted(maps.Keys(by)) {
		sizes := slices.Sorted(maps.Keys(by[subnet]))
		if len(sizes) < 2 {
			continue
		}
		usual := slices.MaxFunc(sizes, func(a, b int32) int { return len(by[subnet][a]) - len(by[subnet][b]) })
		for _, mtu := range sizes {
			for _, p := range by[subnet][mtu] {
				if mtu == usual || said[p] { // an interface may be in several subnets
					continue
				}
				said[p] = true
				out = append(out, Finding{
					Warning, "node " + p.node, "MTU",
					fmt.Sprintf("%s has an MTU of %d, others in %s have %d: large packets between them get lost", p.link, mtu, subnet, usual),
					fmt.Sprintf("kubectl debug node/%s -it --profile=sysadmin --image=busybox -- ip link set dev %s mtu %d", p.node, p.link, usual),
				})
			}
		}
	}
	return out
}

// port is an interface of a node.
type port struct{ node, link string }

// interfaces returns those that speakers report, by subnet and MTU. Speakers of older versions report no MTU.
func (v *view) interfaces() map[string]map[int32][]port {
	by := map[string]map[int32][]port{}
	for i := range v.Speakers.Items {
		s := &v.Speakers.Items[i]
		for _, l := range s.Status.Interfaces {
			for _, subnet := range l.Subnets {
				if by[subnet] == nil {
					by[subnet] = map[int32][]port{}
				}
				if l.MTU > 0 {
					by[subnet][l.MTU] = append(by[subnet][l.MTU], port{s.Name, l.Name})
				}
			}
		}
	}
	return by
}

// mendController is what mends a controller of which no replica runs.
func (v *view) mendController(d *appsv1.Deployment) string {
	if r := d.Spec.Replicas; r != nil && *r == 0 {
		return fmt.Sprintf("kubectl -n %s scale deployment controller --replicas=2", v.System)
	}
	return fmt.Sprintf("kubectl -n %s describe pods -l app.kubernetes.io/component=controller", v.System)
}

// tag returns the version that a workload is of, by the tag of its image.
func tag(o client.Object) string {
	var pod *corev1.PodSpec
	switch w := o.(type) {
	case *appsv1.Deployment:
		if w != nil {
			pod = &w.Spec.Template.Spec
		}
	case *appsv1.DaemonSet:
		if w != nil {
			pod = &w.Spec.Template.Spec
		}
	}
	if pod == nil || len(pod.Containers) == 0 {
		return ""
	}
	image, _, _ := strings.Cut(pod.Containers[0].Image, "@")
	_, version, _ := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return version
}

// speakers: what they say of their nodes.
func (v *view) speakers() []Finding {
	var out []Finding
	for i := range v.nodes {
		n := &v.nodes[i]
		s := v.speaker(n.Name)
		if s == nil {
			if n.Ready {
				out = append(out, Finding{
					Warning, "node " + n.Name, "NoSpeaker", "no speaker has reported from this node: it announces nothing",
					fmt.Sprintf("kubectl -n %s get pods -l app.kubernetes.io/component=speaker --field-selector spec.nodeName=%s", v.System, n.Name),
				})
			}
			continue
		}
		advice := map[string]string{
			v1beta1.ConditionReady:     fmt.Sprintf("kubectl -n %s logs -l app.kubernetes.io/component=speaker --prefix --tail=20", v.System),
			v1beta1.ConditionConnected: "kubectl describe speakerstatus " + n.Name,
			v1beta1.ConditionStrictARP: "kubectl -n kube-system edit configmap kube-proxy",
			v1beta1.ConditionKeepsConnections: fmt.Sprintf("kubectl -n %s patch daemonset speaker --type json -p '"+
				`[{"op":"add","path":"/spec/template/spec/containers/0/securityContext/capabilities/add/-","value":"NET_ADMIN"}]'`, v.System),
		}
		for _, c := range s.Status.Conditions {
			if c.Status == metav1.ConditionFalse {
				out = append(out, Finding{Warning, "speakerstatus " + n.Name, c.Reason, c.Type + " is False: " + c.Message, advice[c.Type]})
			}
		}
	}
	if len(v.nodes) > 0 && !slices.ContainsFunc(v.nodes, func(n announce.Node) bool { return !n.Excluded }) {
		out = append(out, Finding{
			Error, "node " + v.nodes[0].Name, "AllExcluded", "all nodes carry the label " + corev1.LabelNodeExcludeBalancers + ": none of them may announce",
			"kubectl label nodes --all " + corev1.LabelNodeExcludeBalancers + "-",
		})
	}
	return out
}

// configuration: what config says of the objects.
func (v *view) configuration() []Finding {
	var out []Finding
	for _, p := range v.problems {
		severity := Error
		if p.Reason.Warns() {
			severity = Warning
		}
		object := strings.ToLower(string(p.Kind)) + " " + p.Name
		out = append(out, Finding{severity, object, string(p.Reason), p.Message, v.mendProblem(p)})
	}
	return out
}

// unadvertised: pools whose addresses nobody announces.
func (v *view) unadvertised() []Finding {
	var out []Finding
	for _, p := range v.snapshot.Pools() {
		if len(v.advertised(p)) > 0 {
			continue
		}
		out = append(out, Finding{
			Error, "ipaddresspool " + p.Name, "NoAdvertisement",
			"no L2Advertisement or BGPAdvertisement is for this pool: its addresses are assigned, but not announced",
			apply("L2Advertisement", "", p.Name, map[string]any{"ipAddressPools": []string{p.Name}}),
		})
	}
	return out
}

// advertised names the advertisements of a pool, whatever Services they select.
func (v *view) advertised(p *config.Pool) []string {
	short := map[config.Kind]string{config.L2Advertisement: "l2/", config.BGPAdvertisementKind: "bgp/"}
	var out []string
	for _, ref := range v.snapshot.AdvertisedBy(p) {
		out = append(out, short[ref.Kind]+ref.Name)
	}
	return out
}

// unmatched: advertisements that select no node.
func (v *view) unmatched() []Finding {
	var out []Finding
	note := func(object string, selects func(labels map[string]string) bool) {
		if !slices.ContainsFunc(v.nodes, func(n announce.Node) bool { return selects(n.Labels) }) {
			out = append(out, Finding{Error, object, "NoNode", "its nodeSelectors select no node", unset(object, "nodeSelectors")})
		}
	}
	for _, a := range v.snapshot.L2() {
		note("l2advertisement "+a.Name, a.SelectsNode)
	}
	for _, a := range v.snapshot.BGP() {
		note("bgpadvertisement "+a.Name, a.SelectsNode)
	}
	return out
}

// exhausted: pools that have nothing left, or nearly.
func (v *view) exhausted() []Finding {
	var out []Finding
	for _, p := range v.snapshot.Pools() {
		for _, f := range []config.Family{config.IPv4, config.IPv6} {
			used, total := v.use(p, f)
			if total == 0 || int64(used) < total {
				continue
			}
			out = append(out, Finding{
				Warning, "ipaddresspool " + p.Name, "PoolExhausted", fmt.Sprintf("all %d %s addresses are in use", total, f),
				fmt.Sprintf(`kubectl patch ipaddresspool %s --type=json -p '[{"op":"add","path":"/spec/addresses/-","value":"<range>"}]'`, p.Name),
			})
		}
	}
	return out
}

// sessions: routers that are not spoken with.
func (v *view) sessions() []Finding {
	var out []Finding
	for i := range v.Peers.Items {
		p := &v.Peers.Items[i]
		c := meta.FindStatusCondition(p.Status.Conditions, v1beta1.ConditionEstablished)
		if c == nil || c.Status == metav1.ConditionTrue {
			continue
		}
		severity := Warning
		if p.Status.Established == 0 {
			severity = Error
		}
		out = append(out, Finding{severity, "bgppeer " + p.Name, c.Reason, c.Message, "kubectl fairlead bgp"})
	}
	return out
}

// services: what is wrong with each.
func (v *view) services() []Finding {
	var out []Finding
	for _, svc := range v.ours {
		for _, s := range v.chain(svc) {
			if !s.OK {
				out = append(out, Finding{s.severity, "service " + svc.Namespace + "/" + svc.Name, s.Reason, s.Message, s.mend})
				break
			}
		}
	}
	return out
}

// otherWriters: other implementations that may serve the same Services.
func (v *view) otherWriters() []Finding {
	var out []Finding
	note := func(kind, namespace, name string, labels map[string]string) {
		for _, other := range []string{"metallb", "purelb", "kube-vip"} {
			if labels["app.kubernetes.io/name"] == other || labels["app"] == other || strings.HasPrefix(name, other) {
				out = append(out, Finding{
					Warning, kind + " " + namespace + "/" + name, "OtherImplementation",
					other + " runs in this cluster too: two that serve the same Services write over each other",
					"kubectl -n " + namespace + " get " + kind + " " + name + " -o wide",
				})
				return
			}
		}
	}
	for i := range v.Deployments.Items {
		d := &v.Deployments.Items[i]
		note("deployment", d.Namespace, d.Name, d.Labels)
	}
	for i := range v.DaemonSets.Items {
		d := &v.DaemonSets.Items[i]
		note("daemonset", d.Namespace, d.Name, d.Labels)
	}
	return out
}

// A Diagnosis is what doctor prints.
type Diagnosis struct {
	Findings []Finding `json:"findings"`
}

func (d Diagnosis) write(w io.Writer) error {
	p := printer{w: w}
	p.findings(d.Findings)
	return p.err
}

// findings prints what is wrong, or that nothing is.
func (p *printer) findings(fs []Finding) {
	if len(fs) == 0 {
		p.printf("Nothing is wrong.\n")
		return
	}
	for i, f := range fs {
		if i > 0 {
			p.printf("\n")
		}
		p.printf("%-8s %s  %s\n", f.Severity, f.Object, f.Reason)
		p.hanging("         ", f.Message)
		if f.Mend != "" {
			p.printf("         $ %s\n", f.Mend)
		}
	}
}
