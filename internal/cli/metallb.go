package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// A foreign object is one of MetalLB, as it was read.
type foreign struct {
	at     string
	object *unstructured.Unstructured
}

// A Conversion is what becomes of the configuration of MetalLB.
type Conversion struct {
	Objects []runtime.Object
	// Findings: an Error is what has no equivalent, and a Warning what is to be known or done.
	Findings []Verdict
	// Flags for both programs of Fairlead that do what flags of MetalLB's did, and SpeakerFlags for the speakers.
	Flags, SpeakerFlags []string
}

// metalKinds are the kinds of MetalLB that say what it does, by the version that they are read in. Its other kinds are written by itself.
var metalKinds = []schema.GroupVersionKind{
	{Group: "metallb.io", Version: "v1beta1", Kind: "IPAddressPool"},
	{Group: "metallb.io", Version: "v1beta1", Kind: "L2Advertisement"},
	{Group: "metallb.io", Version: "v1beta1", Kind: "BGPAdvertisement"},
	{Group: "metallb.io", Version: "v1beta2", Kind: "BGPPeer"},
	{Group: "metallb.io", Version: "v1beta1", Kind: "BFDProfile"},
	{Group: "metallb.io", Version: "v1beta1", Kind: "Community"},
}

// metalOwn are the kinds that MetalLB writes itself: they are of no interest.
var metalOwn = []string{"ServiceL2Status", "ServiceBGPStatus", "ConfigurationState"}

// The specs, as MetalLB documents them. What is not here is unknown to us, and stops a conversion.
type (
	metalPool struct {
		Addresses         []string                   `json:"addresses"`
		AutoAssign        *bool                      `json:"autoAssign"`
		AvoidBuggyIPs     bool                       `json:"avoidBuggyIPs"`
		ServiceAllocation *v1beta1.ServiceAllocation `json:"serviceAllocation"`
	}
	metalScope struct {
		IPAddressPools         []string                `json:"ipAddressPools"`
		IPAddressPoolSelectors []v1beta1.LabelSelector `json:"ipAddressPoolSelectors"`
		NodeSelectors          []v1beta1.LabelSelector `json:"nodeSelectors"`
		ServiceSelectors       []v1beta1.LabelSelector `json:"serviceSelectors"`
	}
	metalL2 struct {
		metalScope
		Interfaces             []string                        `json:"interfaces"`
		PreferredNodeSelectors []v1beta1.PreferredNodeSelector `json:"preferredNodeSelectors"`
	}
	metalBGP struct {
		metalScope
		AggregationLength   *int32   `json:"aggregationLength"`
		AggregationLengthV6 *int32   `json:"aggregationLengthV6"`
		LocalPref           uint32   `json:"localPref"`
		Communities         []string `json:"communities"`
		Peers               []string `json:"peers"`
	}
	metalPeer struct {
		MyASN                  int64                   `json:"myASN"`
		PeerASN                int64                   `json:"peerASN"`
		DynamicASN             v1beta1.DynamicASN      `json:"dynamicASN"`
		LocalASN               int64                   `json:"localASN"`
		PeerAddress            string                  `json:"peerAddress"`
		Interface              string                  `json:"interface"`
		SourceAddress          string                  `json:"sourceAddress"`
		PeerPort               int32                   `json:"peerPort"`
		HoldTime               *metav1.Duration        `json:"holdTime"`
		KeepaliveTime          *metav1.Duration        `json:"keepaliveTime"`
		ConnectTime            *metav1.Duration        `json:"connectTime"`
		RouterID               string                  `json:"routerID"`
		NodeSelectors          []v1beta1.LabelSelector `json:"nodeSelectors"`
		Password               string                  `json:"password"`
		PasswordSecret         corev1.SecretReference  `json:"passwordSecret"`
		BFDProfile             string                  `json:"bfdProfile"`
		EnableGracefulRestart  bool                    `json:"enableGracefulRestart"`
		EBGPMultiHop           bool                    `json:"ebgpMultiHop"`
		VRF                    string                  `json:"vrf"`
		DisableMP              bool                    `json:"disableMP"`
		DualStackAddressFamily bool                    `json:"dualStackAddressFamily"`
	}
	metalBFD struct {
		ReceiveInterval  int32 `json:"receiveInterval"`
		TransmitInterval int32 `json:"transmitInterval"`
		DetectMultiplier int32 `json:"detectMultiplier"`
		EchoInterval     int32 `json:"echoInterval"`
		EchoMode         bool  `json:"echoMode"`
		PassiveMode      bool  `json:"passiveMode"`
		MinimumTTL       int32 `json:"minimumTtl"`
	}
	metalCommunity struct {
		Communities []v1beta1.CommunityAlias `json:"communities"`
	}
)

// converter turns objects of MetalLB into Fairlead's.
type converter struct {
	Conversion

	// shared are the addresses that Services of different namespaces share.
	shared map[netip.Addr]bool
}

// convert converts the configuration of MetalLB in a cluster with some Services.
func convert(in []foreign, services []corev1.Service) Conversion {
	c := &converter{shared: acrossNamespaces(services)}
	seen := map[string]string{}
	for _, f := range in {
		kind := f.object.GetKind()
		if slices.Contains(metalOwn, kind) {
			continue
		}
		// Theirs are of one namespace, ours are of the cluster.
		key := kind + " " + f.object.GetName()
		if twice, ok := seen[key]; ok {
			c.note(f, Error, "Duplicate", "it is also at "+twice)
			continue
		}
		seen[key] = f.at
		c.one(f)
	}
	return c.Conversion
}

// acrossNamespaces are the addresses that Services of several namespaces show.
func acrossNamespaces(services []corev1.Service) map[netip.Addr]bool {
	first, out := map[netip.Addr]string{}, map[netip.Addr]bool{}
	for i := range services {
		addrs, _ := kube.Shown(&services[i])
		for _, a := range addrs {
			if other, ok := first[a]; ok && other != services[i].Namespace {
				out[a] = true
			}
			first[a] = services[i].Namespace
		}
	}
	return out
}

func (c *converter) note(f foreign, s Severity, reason, message string) {
	c.Findings = append(c.Findings, Verdict{Finding{s, strings.ToLower(f.object.GetKind()) + " " + f.object.GetName(), reason, message, ""}, f.at})
}

// cannot notes what has no equivalent.
func (c *converter) cannot(f foreign, message string) { c.note(f, Error, "NoEquivalent", message) }

func (c *converter) one(f foreign) {
	switch f.object.GetKind() {
	case "IPAddressPool":
		spec(c, f, c.pool)
	case "L2Advertisement":
		spec(c, f, c.l2)
	case "BGPAdvertisement":
		spec(c, f, c.bgp)
	case "BGPPeer":
		spec(c, f, c.peer)
	case "BFDProfile":
		spec(c, f, c.bfd)
	case "Community":
		spec(c, f, c.community)
	case "ConfigMap":
		c.configMap(f)
	case "DaemonSet", "Deployment":
		c.workload(f)
	default:
		c.cannot(f, "this kind is not known")
	}
}

// spec reads the spec of an object, to the last field.
func spec[S any](c *converter, f foreign, with func(foreign, *S)) {
	var in struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Status     map[string]any `json:"status"`
		Spec       S              `json:"spec"`
	}
	text, err := json.Marshal(f.object.Object)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err = d.Decode(&in)
	}
	if err != nil {
		c.cannot(f, strings.TrimPrefix(err.Error(), "json: "))
		return
	}
	with(f, &in.Spec)
}

// emit adds an object of ours with the name and the labels of theirs.
func (c *converter) emit(f foreign, kind string, o interface {
	runtime.Object
	SetName(name string)
	SetLabels(labels map[string]string)
},
) {
	o.SetName(f.object.GetName())
	labels := maps.Clone(f.object.GetLabels())
	maps.DeleteFunc(labels, func(k, _ string) bool {
		return strings.HasPrefix(k, "app.kubernetes.io/") || strings.HasPrefix(k, "helm.sh/") || strings.HasPrefix(k, "argocd.argoproj.io/")
	})
	if len(labels) > 0 {
		o.SetLabels(labels) // selectors of advertisements go by them
	}
	o.GetObjectKind().SetGroupVersionKind(v1beta1.GroupVersion.WithKind(kind))
	c.Objects = append(c.Objects, o)
}

func (c *converter) pool(f foreign, in *metalPool) {
	out := &v1beta1.IPAddressPool{Spec: v1beta1.IPAddressPoolSpec{
		AutoAssign: in.AutoAssign, AvoidBuggyIPs: in.AvoidBuggyIPs, ServiceAllocation: in.ServiceAllocation,
	}}
	for _, entry := range in.Addresses {
		plain := strings.ReplaceAll(entry, " ", "")
		if p, err := netip.ParsePrefix(plain); err == nil && p != p.Masked() {
			c.note(f, Warning, "HostBits", fmt.Sprintf("%s has host bits: MetalLB takes it for %s, and so it is written", entry, p.Masked()))
			plain = p.Masked().String()
		}
		out.Spec.Addresses = append(out.Spec.Addresses, plain)
	}
	if c.sharesAcross(out.Spec.Addresses) {
		out.Spec.Sharing = v1beta1.AllNamespaces
		c.note(f, Warning, "Sharing", "Services of different namespaces share an address of it: sharing is AllNamespaces, as MetalLB allows it to all")
	}
	c.emit(f, "IPAddressPool", out)
}

// sharesAcross reports whether an address of some ranges is shared across namespaces.
func (c *converter) sharesAcross(ranges []string) bool {
	for _, s := range ranges {
		r, err := config.ParseRange(s)
		if err != nil {
			continue
		}
		for a := range c.shared {
			if r.Contains(a) {
				return true
			}
		}
	}
	return false
}

func (c *converter) l2(f foreign, in *metalL2) {
	c.emit(f, "L2Advertisement", &v1beta1.L2Advertisement{Spec: v1beta1.L2AdvertisementSpec{
		IPAddressPools: in.IPAddressPools, IPAddressPoolSelectors: in.IPAddressPoolSelectors, NodeSelectors: in.NodeSelectors,
		ServiceSelectors: in.ServiceSelectors, Interfaces: in.Interfaces, PreferredNodeSelectors: in.PreferredNodeSelectors,
	}})
}

func (c *converter) bgp(f foreign, in *metalBGP) {
	out := &v1beta1.BGPAdvertisement{Spec: v1beta1.BGPAdvertisementSpec{
		IPAddressPools: in.IPAddressPools, IPAddressPoolSelectors: in.IPAddressPoolSelectors, NodeSelectors: in.NodeSelectors,
		ServiceSelectors: in.ServiceSelectors, Communities: in.Communities, Peers: in.Peers,
		AggregationLength: in.AggregationLength, AggregationLengthV6: in.AggregationLengthV6,
	}}
	if in.LocalPref > 0 {
		pref := int64(in.LocalPref)
		out.Spec.LocalPref = &pref
	}
	c.emit(f, "BGPAdvertisement", out)
}

func (c *converter) peer(f foreign, in *metalPeer) {
	out := &v1beta1.BGPPeer{Spec: v1beta1.BGPPeerSpec{
		MyASN: in.MyASN, PeerASN: in.PeerASN, DynamicASN: in.DynamicASN, LocalASN: in.LocalASN,
		PeerAddress: in.PeerAddress, Interface: in.Interface, SourceAddress: in.SourceAddress, PeerPort: in.PeerPort,
		HoldTime: in.HoldTime, KeepaliveTime: in.KeepaliveTime, ConnectTime: in.ConnectTime, RouterID: in.RouterID,
		NodeSelectors: in.NodeSelectors, BFDProfile: in.BFDProfile, EBGPMultiHop: in.EBGPMultiHop,
	}}
	if in.EnableGracefulRestart {
		out.Spec.GracefulRestart = &v1beta1.GracefulRestart{}
	}
	if in.DualStackAddressFamily {
		out.Spec.AddressFamilies = []v1beta1.AddressFamily{v1beta1.IPv4Unicast, v1beta1.IPv6Unicast}
	}
	if name := in.PasswordSecret.Name; name != "" {
		out.Spec.PasswordSecret = &v1beta1.SecretReference{Name: name}
		c.note(f, Warning, "Secret", "copy the Secret "+name+" to the namespace of Fairlead, before you apply this")
	}
	if in.Password != "" {
		c.cannot(f, "password is in plain text: put it into a Secret of type kubernetes.io/basic-auth, and name that by passwordSecret")
	}
	if in.VRF != "" {
		c.cannot(f, "vrf: sessions are in the main routing table")
	}
	c.emit(f, "BGPPeer", out)
}

func (c *converter) bfd(f foreign, in *metalBFD) {
	if in.EchoMode {
		c.cannot(f, "echoMode: there is none; shorter intervals do the same")
	} else if in.EchoInterval > 0 {
		c.note(f, Warning, "Ignored", "echoInterval means nothing without echoMode")
	}
	c.emit(f, "BFDProfile", &v1beta1.BFDProfile{Spec: v1beta1.BFDProfileSpec{
		ReceiveInterval: in.ReceiveInterval, TransmitInterval: in.TransmitInterval, DetectMultiplier: in.DetectMultiplier,
		PassiveMode: in.PassiveMode, MinimumTTL: in.MinimumTTL,
	}})
}

func (c *converter) community(f foreign, in *metalCommunity) {
	c.emit(f, "Community", &v1beta1.Community{Spec: v1beta1.CommunitySpec{Communities: in.Communities}})
}

// configMap reads the two that MetalLB takes configuration of.
func (c *converter) configMap(f foreign) {
	data, _, _ := unstructured.NestedStringMap(f.object.Object, "data")
	switch f.object.GetName() {
	case "bgpextras":
		if strings.TrimSpace(data["extras"]) != "" {
			c.cannot(f, "raw configuration of FRR: Fairlead has no FRR. What it does may be a field of BGPPeer or BGPAdvertisement")
		}
	case "metallb-excludel2":
		c.note(f, Warning, "Interfaces", "interfaces are not excluded by name: an address is announced on those whose network has it, or of the default route;"+
			" name others by interfaces of the L2Advertisement")
	}
}

// workload reads the flags of MetalLB's programs.
func (c *converter) workload(f foreign) {
	containers, _, _ := unstructured.NestedSlice(f.object.Object, "spec", "template", "spec", "containers")
	for _, x := range containers {
		container, _ := x.(map[string]any)
		args, _, _ := unstructured.NestedStringSlice(container, "args")
		for _, arg := range args {
			name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			switch {
			case name == "lb-class" && value != "":
				add(&c.Flags, "--load-balancer-class="+value)
				add(&c.Flags, "--classless=false") // MetalLB then leaves Services without a class alone
			case name == "ignore-exclude-lb" && value != "false":
				add(&c.SpeakerFlags, "--ignore-exclude-lb")
			}
		}
	}
}

func add(flags *[]string, flag string) {
	if !slices.Contains(*flags, flag) {
		*flags = append(*flags, flag)
	}
}
