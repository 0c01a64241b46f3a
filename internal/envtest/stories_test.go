//go:build linux

package envtest

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

const (
	v4, v6  = corev1.IPv4Protocol, corev1.IPv6Protocol
	single  = corev1.IPFamilyPolicySingleStack
	prefer  = corev1.IPFamilyPolicyPreferDualStack
	require = corev1.IPFamilyPolicyRequireDualStack
)

// Every story ends with a controller that starts again: it must find nothing to write.
func TestStories(t *testing.T) {
	tests := map[string]struct {
		reason string
		steps  []step
	}{
		"Assign": {
			reason: "A Service gets an address, lowest never used first, and the pool counts it.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.3 2001:db8::/127"),
				service("one"), has("one", "192.0.2.1"), service("two"), has("two", "192.0.2.2"),
				service("six", families(single, v6)), has("six", "2001:db8::"),
				counts("a", 2, 1, 3, 1, 1, 2),
				remove("one"), service("three"), has("three", "192.0.2.3"),
				service("four"), has("four", "192.0.2.1"), counts("a", 3, 0, 3, 1, 1, 2),
			},
		},
		"NoPool": {
			reason: "Without a pool a Service is told so, and gets an address as soon as there is one.",
			steps: []step{
				started(), service("one"), lacks("one", "NoPool"),
				pool("a", "192.0.2.1"), has("one", "192.0.2.1"),
			},
		},
		"Waiting": {
			reason: "What a deleted Service had goes to one that waits: first who asks for it, then who is older.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2"), service("one"), has("one", "192.0.2.1"), service("two"), has("two", "192.0.2.2"),
				service("a-any"), service("b-any"), service("exact", asking("192.0.2.1")),
				lacks("a-any", "PoolExhausted"), lacks("exact", "AddressInUse"),
				remove("one"), has("exact", "192.0.2.1"), lacks("a-any", "PoolExhausted"),
				remove("two"), has("a-any", "192.0.2.2"), lacks("b-any", "PoolExhausted"),
			},
		},
		"Sharing": {
			reason: "Services of one key share an address while their ports allow it; of two that collide the older stays.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.4"),
				service("one", sharing("k"), port(80)), has("one", "192.0.2.1"),
				service("two", sharing("k"), port(81)), has("two", "192.0.2.1"),
				service("x", sharing("k"), port(80)), has("x", "192.0.2.2"),
				service("y", sharing("l"), port(82)), has("y", "192.0.2.3"), counts("a", 3, 1, 4, 0, 0, 0),
				edit("two", port(80)), has("two", "192.0.2.4"), has("one", "192.0.2.1"),
				stopped, started(), has("one", "192.0.2.1"), has("two", "192.0.2.4"), has("x", "192.0.2.2"), has("y", "192.0.2.3"),
				service("z", asking("192.0.2.1")), lacks("z", "AddressInUse"),
				edit("z", sharing("k"), port(83)), has("z", "192.0.2.1"),
				remove("one"), has("z", "192.0.2.1"), edit("two", asking("192.0.2.1")), has("two", "192.0.2.1"),
			},
		},
		"Claim": {
			reason: "A claim keeps its address without a Service and across restarts; a Service keeps it without the claim.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2"),
				service("one", claiming("front")), lacks("one", "ClaimNotFound"),
				claim("front"), has("one", "192.0.2.1"), counts("a", 1, 1, 2, 0, 0, 0),
				remove("one"), stopped, started(), service("two"), has("two", "192.0.2.2"),
				service("waits"), lacks("waits", "PoolExhausted"),
				service("three", claiming("front")), has("three", "192.0.2.1"),
				removeClaim("front"), partly("three", "ClaimNotFound", "192.0.2.1"), func(s *stage) { s.idle(0) },
				claim("front"), has("three", "192.0.2.1"),
				removeClaim("front"), remove("three"), has("waits", "192.0.2.1"),
			},
		},
		"ClaimTakesOver": {
			reason: "A claim takes over what a Service holds that names it, and the address does not change.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.3"), service("one"), service("two"), has("two", "192.0.2.2"),
				edit("two", claiming("front")), partly("two", "ClaimNotFound", "192.0.2.2"),
				claim("front"), has("two", "192.0.2.2"), edit("two", without(kube.AnnotationClaim)), has("two", "192.0.2.3"),
			},
		},
		"Quota": {
			reason: "A namespace that has its quota waits, and is served when it gives one back; a lower quota takes nothing.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.9", func(p *v1beta1.IPAddressPool) { p.Spec.NamespaceQuota = 2 }),
				service("one"), has("one", "192.0.2.1"), claim("front"), service("two"), lacks("two", "QuotaExceeded"),
				removeClaim("front"), has("two", "192.0.2.3"),
				editPool("a", func(p *v1beta1.IPAddressPool) { p.Spec.NamespaceQuota = 1 }), has("one", "192.0.2.1"), has("two", "192.0.2.3"),
			},
		},
		"Cooldown": {
			reason: "A released address cools down before somebody gets it who did not ask for it.",
			steps: []step{
				started(), pool("a", "192.0.2.1", func(p *v1beta1.IPAddressPool) { p.Spec.ReuseCooldown = &metav1.Duration{Duration: 3 * time.Second} }),
				service("one"), has("one", "192.0.2.1"), remove("one"), service("two"), lacks("two", "PoolExhausted"),
				func(*stage) { time.Sleep(3 * time.Second) }, has("two", "192.0.2.1"),
				remove("two"), service("asks", asking("192.0.2.1")), has("asks", "192.0.2.1"),
			},
		},
		"Finalizer": {
			reason: "A Service that is being deleted keeps its address until it is gone.",
			steps: []step{
				started(), pool("a", "192.0.2.1"),
				service("one", func(svc *corev1.Service) { svc.Finalizers = []string{"example.com/wait"} }), has("one", "192.0.2.1"),
				service("two"), remove("one"), lacks("two", "PoolExhausted"),
				func(s *stage) { s.idle(0) }, lacks("two", "PoolExhausted"),
				edit("one", func(svc *corev1.Service) { svc.Finalizers = nil }), has("two", "192.0.2.1"),
			},
		},
		"Class": {
			reason: "Services of no class and of ours are served; others are never written to.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.9"),
				service("ours", class(kube.DefaultClass)), has("ours", "192.0.2.1"), service("none"), has("none", "192.0.2.2"),
				service("other", class("example.com/lb")), leaves("other"),
				service("shows", class("example.com/lb"), showing("192.0.2.7")), leaves("shows"),
				service("cluster-ip", ofType(corev1.ServiceTypeClusterIP), asking("192.0.2.5")), leaves("cluster-ip"),
				has("ours", "192.0.2.1"), has("none", "192.0.2.2"),
				untouched("other"), untouched("shows"), untouched("cluster-ip"),
			},
		},
		"ClasslessOff": {
			reason: "With --classless=false only Services of the class are served.",
			steps: []step{
				// The probe is classless, so these Services are watched instead.
				pool("a", "192.0.2.1-192.0.2.9"), service("none"), leaves("none"), service("ours", class(kube.DefaultClass)),
				started("--classless=false"),
				func(s *stage) {
					s.within(patience, "Service ours has an address", func() error {
						if shownOf(s.get("ours"), v4) == "" {
							return errNotYet
						}
						return nil
					})
					time.Sleep(surely)
					if s.get("none").ResourceVersion != s.unserved["none"] {
						s.Error("a Service without a class was written to")
					}
				},
				stopped, started(),
			},
		},
		"ClassFlagTaken": {
			reason: "A flag that excludes a Service takes nothing from it, and gives its address to nobody; when the flag is taken back, all is as before.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.9"), service("one"), has("one", "192.0.2.1"), stopped,
				started("--classless=false"), service("wants", class(kube.DefaultClass), asking("192.0.2.1")),
				func(s *stage) {
					s.within(patience, "the other Service waits for the address", func() error {
						c := meta.FindStatusCondition(s.get("wants").Status.Conditions, v1beta1.ServiceConditionAssigned)
						if c == nil || c.Reason != "AddressInUse" {
							return errNotYet
						}
						return nil
					})
					s.within(patience, "the condition goes", func() error {
						if meta.FindStatusCondition(s.get("one").Status.Conditions, v1beta1.ServiceConditionAssigned) != nil {
							return errNotYet
						}
						return nil
					})
					if got := shownOf(s.get("one"), v4); got != "192.0.2.1" {
						s.Errorf("Service one shows %q", got)
					}
				},
				stopped, started(), has("one", "192.0.2.1"), lacks("wants", "AddressInUse"),
			},
		},
		"OtherClassReserves": {
			reason: "What a Service of another class shows is given to nobody, until it does not show it any more.",
			steps: []step{
				started(), service("theirs", class("example.com/lb"), showing("192.0.2.1")), service("wants", asking("192.0.2.1")),
				pool("a", "192.0.2.1-192.0.2.2"), lacks("wants", "AddressInUse"), service("any"), has("any", "192.0.2.2"),
				remove("theirs"), has("wants", "192.0.2.1"),
			},
		},
		"PoolsArrive": {
			reason: "Pools that come to a running controller are given out after what other implementations' Services show was adopted.",
			steps: []step{
				started(), service("wants", asking("192.0.2.1")), lacks("wants", "NotInPool"), service("shows", showing("192.0.2.1")),
				foreign("shows", "ForeignAddress", "192.0.2.1"),
				pool("a", "192.0.2.1-192.0.2.9"), has("shows", "192.0.2.1"), lacks("wants", "AddressInUse"),
			},
		},
		"AdoptedAnnotation": {
			reason: "What a Service asked for of another implementation moves no address when it is adopted, but does once it is changed.",
			steps: []step{
				service("one", showing("192.0.2.1"), annotated("kube-vip.io/loadbalancerIPs", "192.0.2.5")),
				service("two", showing("192.0.2.2"), annotated("purelb.io/service-group", "b")),
				pool("a", "192.0.2.1-192.0.2.9"), pool("b", "198.51.100.1-198.51.100.9"), started(),
				has("one", "192.0.2.1"), has("two", "192.0.2.2"), killed, started(), has("one", "192.0.2.1"), has("two", "192.0.2.2"),
				edit("one", annotated("kube-vip.io/loadbalancerIPs", "192.0.2.6")), has("one", "192.0.2.6"),
				edit("two", annotated("purelb.io/service-group", "a")), has("two", "192.0.2.2"),
			},
		},
		"MakeBeforeBreak": {
			reason: "A request that cannot be had costs nothing, and is met when it can be; two that ask for each other's addresses get them.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.3"), service("one"), has("one", "192.0.2.1"), service("two"), has("two", "192.0.2.2"),
				edit("one", asking("192.0.2.2")), partly("one", "AddressInUse", "192.0.2.1"),
				killed, started(), partly("one", "AddressInUse", "192.0.2.1"),
				edit("two", asking("192.0.2.1")), has("one", "192.0.2.2"), has("two", "192.0.2.1"),
				edit("one", fromPool("b"), without(kube.AnnotationIPs)), partly("one", "PoolNotFound", "192.0.2.2"),
				edit("one", claiming("front"), without(kube.AnnotationPool)), partly("one", "ClaimNotFound", "192.0.2.2"),
				edit("one", without(kube.AnnotationClaim)), has("one", "192.0.2.2"),
				edit("two", asking("192.0.2.2")), partly("two", "AddressInUse", "192.0.2.1"), remove("one"), has("two", "192.0.2.2"),
			},
		},
		"CountsEdited": {
			reason: "Counts in the status of a pool that somebody edits are put right.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.4"), service("one"), has("one", "192.0.2.1"), counts("a", 1, 3, 4, 0, 0, 0),
				func(s *stage) {
					p := &v1beta1.IPAddressPool{}
					s.must(s.api.Get(s.Context(), client.ObjectKey{Name: "a"}, p))
					before := p.DeepCopy()
					p.Status.AssignedIPv4 = 99
					s.must(s.api.Status().Patch(s.Context(), p, client.MergeFrom(before)))
				},
				counts("a", 1, 3, 4, 0, 0, 0),
			},
		},
		"LastAccepted": {
			reason: "A pool that is edited so that it cannot be accepted stays active as it was, for new Services too, and after a restart.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.4"), poolIs("a", "Accepted"), pool("b", "198.51.100.1-198.51.100.4"), poolIs("b", "Accepted"),
				editPool("b", addresses("192.0.2.4-192.0.2.9")), poolIs("b", "Overlap"),
				service("one", fromPool("b")), has("one", "198.51.100.1"), killed, started(),
				service("two", fromPool("b")), has("two", "198.51.100.2"), poolIs("b", "Overlap"),
				editPool("b", addresses("198.51.100.1-198.51.100.9")), poolIs("b", "Accepted"), has("one", "198.51.100.1"),
			},
		},
		"TypeChange": {
			reason: "A Service that becomes another type gives its address back, and what was written to it goes.",
			steps: []step{
				started(), pool("a", "192.0.2.1"), service("one"), has("one", "192.0.2.1"), service("two"),
				edit("one", ofType(corev1.ServiceTypeNodePort)), bare("one"), has("two", "192.0.2.1"),
				edit("one", ofType(corev1.ServiceTypeLoadBalancer)), lacks("one", "PoolExhausted"),
			},
		},
		"TypeChangePending": {
			reason: "The same for a Service that has got nothing: it is told nothing any more.",
			steps: []step{
				started(), service("one"), lacks("one", "NoPool"), edit("one", ofType(corev1.ServiceTypeClusterIP)), bare("one"),
			},
		},
		"TypeChangeUnseen": {
			reason: "The same while no controller runs.",
			steps: []step{
				started(), pool("a", "192.0.2.1"), service("one"), has("one", "192.0.2.1"), service("two"), lacks("two", "PoolExhausted"),
				stopped, edit("one", ofType(corev1.ServiceTypeClusterIP)), started(), bare("one"), has("two", "192.0.2.1"),
			},
		},
		"Adopt": {
			reason: "Services that show addresses of a pool when the controller starts keep them, whatever their order.",
			steps: []step{
				service("a-waits"), service("z-first", showing("192.0.2.1")), service("b-last", showing("192.0.2.3")),
				service("dual", families(require, v4, v6), showing("192.0.2.4", "2001:db8::1")),
				service("c-waits", asking("192.0.2.1")),
				pool("a", "192.0.2.1-192.0.2.4 2001:db8::/126"), started(),
				has("z-first", "192.0.2.1"), has("b-last", "192.0.2.3"), has("dual", "192.0.2.4", "2001:db8::1"),
				has("a-waits", "192.0.2.2"), lacks("c-waits", "AddressInUse"),
			},
		},
		"Foreign": {
			reason: "What another implementation has assigned stays until a pool contains it, and is then adopted.",
			steps: []step{
				started(), pool("a", "192.0.2.1"), service("one", showing("198.51.100.9")),
				foreign("one", "ForeignAddress", "198.51.100.9"), service("two"), has("two", "192.0.2.1"),
				pool("b", "198.51.100.8-198.51.100.9"), has("one", "198.51.100.9"), counts("b", 1, 1, 2, 0, 0, 0),
			},
		},
		"OldMark": {
			reason: "What another implementation has assigned in the place of Fairlead, while that was not there, is the other's.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2"), service("one"), has("one", "192.0.2.1"), service("two"), has("two", "192.0.2.2"),
				stopped, editStatus("one", showing("198.51.100.9")), editStatus("two", showing("192.0.2.1")), started(),
				foreign("one", "ForeignAddress", "198.51.100.9"), has("two", "192.0.2.1"),
				func(s *stage) {
					if from, marked := s.get("one").Annotations[kube.AnnotationAllocatedFrom]; marked {
						s.Errorf("it is still marked as %s", from)
					}
				},
			},
		},
		"ForeignInUse": {
			reason: "Who shows an address that another Service holds is left alone, and adopted when that one is gone.",
			steps: []step{
				pool("a", "192.0.2.1-192.0.2.2"), service("one", showing("192.0.2.1")), started(), has("one", "192.0.2.1"),
				stopped, service("two", showing("192.0.2.1")), started(), foreign("two", "AddressInUse", "192.0.2.1"),
				has("one", "192.0.2.1"), remove("one"), has("two", "192.0.2.1"),
			},
		},
		"ForeignCleared": {
			reason: "Who clears the status of a Service has Fairlead assign an address.",
			steps: []step{
				started(), pool("a", "192.0.2.1"), service("one", showing("198.51.100.9")),
				foreign("one", "ForeignAddress", "198.51.100.9"), editStatus("one", showing()), has("one", "192.0.2.1"),
			},
		},
		"StatusCleared": {
			reason: "Who clears the status of a Service that holds an address sees the same again.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.9"), service("one"), has("one", "192.0.2.1"), service("two"), has("two", "192.0.2.2"),
				editStatus("two", showing()), has("two", "192.0.2.2"),
				editStatus("two", func(svc *corev1.Service) { svc.Status.Conditions = nil }), has("two", "192.0.2.2"),
				edit("two", without(kube.AnnotationAllocatedFrom)), has("two", "192.0.2.2"),
			},
		},
		"Namespace": {
			reason: "A namespace that is labelled opens a pool to the Services in it that wait, oldest first.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2", forNamespaces("gold")), service("a"), lacks("a", "NoPool"),
				service("b", fromPool("a")), lacks("b", "NotAdmitted"), service("c"), service("d"), service("e"), service("f"),
				label("gold"), has("a", "192.0.2.1"), has("b", "192.0.2.2"), lacks("c", "PoolExhausted"),
			},
		},
		"Prefer": {
			reason: "PreferDualStack takes what there is, says what is missing, and gets the rest later, from another pool.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2"), service("one", families(prefer)), partly("one", "NoPool", "192.0.2.1"),
				pool("b", "2001:db8::/127"), has("one", "192.0.2.1", "2001:db8::"),
				edit("one", families(single, v4)), has("one", "192.0.2.1"), counts("b", 0, 0, 0, 0, 2, 2),
			},
		},
		"Require": {
			reason: "RequireDualStack takes both addresses or none.",
			steps: []step{
				started(), pool("a", "192.0.2.1"), service("one", families(require)), lacks("one", "NoPool"),
				service("two"), has("two", "192.0.2.1"), pool("b", "2001:db8::1"), lacks("one", "PoolExhausted"),
				service("six", families(single, v6)), has("six", "2001:db8::1"), remove("two"), lacks("one", "PoolExhausted"),
				remove("six"), has("one", "192.0.2.1", "2001:db8::1"),
			},
		},
		"RequireOrder": {
			reason: "Addresses are in the order of the Service's families.",
			steps: []step{
				started(), pool("a", "192.0.2.1 2001:db8::1"), service("one", families(require, v6, v4)), has("one", "2001:db8::1", "192.0.2.1"),
			},
		},
		"Upgrade": {
			reason: "A Service that becomes dual-stack keeps its address and gets one more.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2 2001:db8::1"), service("one"), has("one", "192.0.2.1"),
				edit("one", families(require, v4, v6)), has("one", "192.0.2.1", "2001:db8::1"),
			},
		},
		"Ask": {
			reason: "Requests are honoured, or answered with what is wrong with them; what a Service holds it keeps meanwhile.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.4"), pool("b", "198.51.100.1", onlyOnRequest), pool("c", "203.0.113.1-203.0.113.2", priority(5)),
				service("first"), has("first", "203.0.113.1"),
				service("exact", asking("192.0.2.3")), has("exact", "192.0.2.3"),
				service("named", fromPool("b")), has("named", "198.51.100.1"),
				service("full", fromPool("b")), lacks("full", "PoolExhausted"),
				service("taken", asking("192.0.2.3")), lacks("taken", "AddressInUse"),
				service("nowhere", asking("10.1.1.1")), lacks("nowhere", "NotInPool"),
				service("no-pool", fromPool("z")), lacks("no-pool", "PoolNotFound"),
				service("both", fromPool("b"), asking("192.0.2.4")), lacks("both", "NotInPool"),
				service("odd", asking("2001:db8::1")), lacks("odd", "FamilyMismatch"),
				service("bad", asking("192.0.2.300")), lacks("bad", "InvalidRequest"),
				edit("exact", asking("")), partly("exact", "InvalidRequest", "192.0.2.3"),
				edit("exact", asking("192.0.2.4")), has("exact", "192.0.2.4"), has("taken", "192.0.2.3"),
			},
		},
		"AskAsOthersDo": {
			reason: "The annotations of other implementations are understood.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.9"), pool("b", "198.51.100.1-198.51.100.9", onlyOnRequest),
				service("metallb", annotated("metallb.io/loadBalancerIPs", "192.0.2.2")), has("metallb", "192.0.2.2"),
				service("metallb-old", annotated("metallb.universe.tf/address-pool", "b")), has("metallb-old", "198.51.100.1"),
				service("kube-vip", annotated("kube-vip.io/loadbalancerIPs", "192.0.2.3")), has("kube-vip", "192.0.2.3"),
				service("cilium", annotated("lbipam.cilium.io/ips", "192.0.2.4")), has("cilium", "192.0.2.4"),
				service("purelb", annotated("purelb.io/service-group", "b")), has("purelb", "198.51.100.2"),
				service("field", func(svc *corev1.Service) { svc.Spec.LoadBalancerIP = "192.0.2.5" }), has("field", "192.0.2.5"),
			},
		},
		"PoolEdits": {
			reason: "An address stays while any pool contains it, and only who loses it gets another.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.4"), service("one"), has("one", "192.0.2.1"), service("two"), has("two", "192.0.2.2"),
				editPool("a", addresses("192.0.2.0/24")), has("one", "192.0.2.1"), has("two", "192.0.2.2"),
				editPool("a", onlyOnRequest), has("one", "192.0.2.1"),
				editPool("a", forNamespaces("nobody")), has("one", "192.0.2.1"),
				editPool("a", func(p *v1beta1.IPAddressPool) { p.Spec.AutoAssign, p.Spec.ServiceAllocation = nil, nil }),
				editPool("a", exclude("192.0.2.1 192.0.2.0")), has("one", "192.0.2.3"), has("two", "192.0.2.2"),
				removePool("a"), partly("one", "NoPool", "192.0.2.3"), partly("two", "NoPool", "192.0.2.2"),
				killed, started(), partly("one", "NoPool", "192.0.2.3"),
				pool("a", "192.0.2.0/24"), has("one", "192.0.2.3"), has("two", "192.0.2.2"),
			},
		},
		"PoolSwap": {
			reason: "Addresses stay when another pool has them by the time the first one goes.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.4"), service("one"), has("one", "192.0.2.1"), service("two"), has("two", "192.0.2.2"),
				pool("b", "192.0.2.0/29"), poolIs("b", "Overlap"), has("two", "192.0.2.2"),
				removePool("a"), poolIs("b", "Accepted"), has("one", "192.0.2.1"), has("two", "192.0.2.2"), counts("b", 2, 6, 8, 0, 0, 0),
				func(s *stage) {
					if from := s.get("one").Annotations[kube.AnnotationAllocatedFrom]; from != "192.0.2.1=b" {
						s.Errorf("%s is %q, and the address belongs to pool b", kube.AnnotationAllocatedFrom, from)
					}
				},
			},
		},
		"Full": {
			reason: "A full pool gives every address to who had it when the controller comes back from a crash.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.3"), service("c"), has("c", "192.0.2.1"), service("b"), has("b", "192.0.2.2"),
				service("a"), has("a", "192.0.2.3"), killed, service("0"), remove("b"), started(),
				has("0", "192.0.2.2"), has("a", "192.0.2.3"), has("c", "192.0.2.1"),
			},
		},
		"Accepted": {
			reason: "Pools and advertisements are told what is wrong with them, also by reason of another object.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.9"), poolIs("a", "Accepted"),
				pool("b", "192.0.2.9-192.0.2.12"), poolIs("b", "Overlap"), counts("b", 0, 0, 4, 0, 0, 0),
				pool("c", "192.0.2.20", exclude("192.0.2.20")), poolIs("c", "NoAddresses"),
				service("refused", fromPool("b")), lacks("refused", "PoolRefused"),
				pool("d", "fd00::9-fd00::1"), poolIs("d", "InvalidAddresses"),
				advertisement("all"), advertisementIs("all", "Accepted"),
				advertisement("some", "a", "z"), advertisementIs("some", "PoolNotFound"),
				pool("z", "203.0.113.1"), advertisementIs("some", "Accepted"),
				removePool("a"), poolIs("b", "Accepted"), advertisementIs("some", "PoolNotFound"),
				has("refused", "192.0.2.9"), counts("b", 1, 3, 4, 0, 0, 0),
				editPool("c", exclude("")), poolIs("c", "Accepted"),
			},
		},
		"Conflict": {
			reason: "An address that a conflicting host uses is exchanged before it is served, if there is another, and then given only to who asks for it.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2"), service("one"), has("one", "192.0.2.1"),
				contested("one", "192.0.2.1"), has("one", "192.0.2.2"), conflicts("one", false),
				func(s *stage) {
					s.within(patience, "it is told", func() error { return s.told("one", "ClearAssignment", 1) })
				},
				service("two"), lacks("two", "PoolExhausted"),
				service("three", asking("192.0.2.1")), has("three", "192.0.2.1"),
				contested("three", "192.0.2.1"), has("three", "192.0.2.1"), conflicts("three", true),
				contested("one", "192.0.2.2"), partly("one", "AddressConflict", "192.0.2.2"), conflicts("one", true),
				editPool("a", addresses("192.0.2.1-192.0.2.3")), has("one", "192.0.2.3"), conflicts("one", false),
				lacks("two", "PoolExhausted"), editPool("a", addresses("192.0.2.1-192.0.2.4")), has("two", "192.0.2.4"),
			},
		},
		"Overlapping": {
			reason: "Pools are warned of addresses that nodes, pods and cluster IPs have, and give addresses all the same.",
			steps: []step{
				node("node-1", "192.0.2.200", "10.244.1.0/24"), started(),
				pool("a", "192.0.2.0/25"), overlaps("a", "Distinct"), pool("b", "10.244.0.0/16"), overlaps("b", "PodNetwork"),
				pool("c", "10.96.0.0-10.96.0.9"), overlaps("c", "ServiceNetwork"),
				node("node-2", "192.0.2.100", "10.245.2.0/24"), overlaps("a", "NodeAddress"),
				service("one", fromPool("a")), has("one", "192.0.2.0"),
				editPool("a", exclude("192.0.2.100")), overlaps("a", "Distinct"), has("one", "192.0.2.0"),
				removeNode("node-1"), overlaps("b", "Distinct"),
			},
		},
		"FieldsOfOthers": {
			reason: "What others have written to a Service survives every write of ours.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2"), service("one", annotated("example.com/note", "kept")), has("one", "192.0.2.1"),
				editStatus("one", func(svc *corev1.Service) {
					svc.Status.Conditions = append([]metav1.Condition{{
						Type: "example.com/Checked", Status: metav1.ConditionTrue, Reason: "Done", LastTransitionTime: metav1.Now(),
					}}, svc.Status.Conditions...)
					svc.Status.LoadBalancer.Ingress[0].Ports = []corev1.PortStatus{{Port: 80, Protocol: corev1.ProtocolTCP}}
				}),
				pool("b", "2001:db8::1"), edit("one", families(require, v4, v6)), has("one", "192.0.2.1", "2001:db8::1"),
				func(s *stage) {
					svc := s.get("one")
					if svc.Annotations["example.com/note"] != "kept" || meta.FindStatusCondition(svc.Status.Conditions, "example.com/Checked") == nil {
						s.Errorf("annotations %v, conditions %v: want those of others too", svc.Annotations, svc.Status.Conditions)
					}
					if len(svc.Status.LoadBalancer.Ingress[0].Ports) != 1 {
						s.Errorf("ingress %v: want the ports that others wrote", svc.Status.LoadBalancer.Ingress)
					}
				},
				edit("one", ofType(corev1.ServiceTypeClusterIP), families(single, v4)), bare("one"),
				func(s *stage) {
					if svc := s.get("one"); svc.Annotations["example.com/note"] != "kept" || meta.FindStatusCondition(svc.Status.Conditions, "example.com/Checked") == nil {
						s.Errorf("annotations %v, conditions %v: want those of others still", svc.Annotations, svc.Status.Conditions)
					}
				},
			},
		},
		"TransitionTime": {
			reason: "A condition is as old as its status: a new generation, or another message, makes it no younger.",
			steps: []step{
				started(), pool("a", "192.0.2.1-192.0.2.2"), service("one"), has("one", "192.0.2.1"),
				func(s *stage) {
					at := func() metav1.Time {
						return meta.FindStatusCondition(s.get("one").Status.Conditions, v1beta1.ServiceConditionAssigned).LastTransitionTime
					}
					before := at()
					time.Sleep(1100 * time.Millisecond) // conditions have whole seconds
					edit("one", func(svc *corev1.Service) { svc.Spec.Ports[0].Port = 81 })(s)
					has("one", "192.0.2.1")(s)
					edit("one", asking("192.0.2.2"))(s)
					has("one", "192.0.2.2")(s)
					if after := at(); !before.Equal(&after) {
						s.Errorf("the condition changed at %s, then at %s", before, after)
					}
				},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			for _, do := range tt.steps {
				do(s)
			}
			s.idle(0)
			if t.Failed() {
				t.Log(tt.reason)
			}
		})
	}
}

// Without a transition nothing is written, however long.
func TestIdle(t *testing.T) {
	s := newStage(t)
	for _, do := range []step{
		started(), pool("a", "192.0.2.1-192.0.2.2 2001:db8::1"), pool("b", "192.0.2.2-192.0.2.3"), advertisement("all"), advertisement("some", "z"),
		service("one"), service("two", families(prefer)), service("three"), service("four", families(require)),
		service("bad", asking("x")), service("other", class("example.com/lb")), service("foreign", showing("198.51.100.1")),
	} {
		do(s)
	}
	s.idle(2 * time.Second)
}
