//go:build linux

package envtest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

var (
	seedFlag  = flag.Uint64("seed", 172730943, "the random history of this `seed`, the same each time but for timing; 0 for another each time")
	stepsFlag = flag.Int("steps", 2000, "make random histories this `long`")
)

// TestCrashes does at random what users, operators and crashes do, and checks
// the promises after every event that the API server sends, and in every quiet moment.
func TestCrashes(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1e9
	}
	t.Logf("repeat with -run TestCrashes -seed %d -steps %d", seed, *stepsFlag)
	h := &history{stage: newStage(t), rng: rand.New(rand.NewPCG(seed, 0)), pools: map[string]int{}}
	h.witness = watch(h.stage)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last of what happened:\n%s", h.witness.story(150))
		}
	})
	for _, n := range namespaces {
		h.must(client.IgnoreAlreadyExists(h.api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n}})))
	}
	began := time.Now()
	h.launch()
	for i := range *stepsFlag {
		// The second third has two controllers and an election.
		if i == *stepsFlag/3 || i == *stepsFlag*2/3 {
			h.quiet()
			h.elect(i == *stepsFlag/3)
		}
		h.step()
		if t.Failed() {
			break
		}
	}
	h.quiet()
	t.Logf("seed %d: %d steps, %d Services, %d kills, %d controllers that took over from another, %d quiet moments, %d events in %.1fs",
		seed, *stepsFlag, h.born, h.kills, h.handovers, h.quiets, h.witness.events(), time.Since(began).Seconds())
}

var namespaces = []string{"crash-a", "crash-b"}

// history is a random sequence of changes.
type history struct {
	*stage
	rng     *rand.Rand
	witness *witness
	// services are those that exist, and pools how often each that exists was edited.
	services []client.ObjectKey
	pools    map[string]int
	// spare is the second controller of an election.
	spare    *controller
	election bool

	born, kills, handovers, quiets int
}

const maxServices = 24

func (h *history) step() {
	h.Helper()
	// Some changes come at once, others while the controller is at work on those before.
	if h.chance(50) {
		time.Sleep(time.Duration(h.rng.IntN(30)) * time.Millisecond)
	}
	switch n := h.rng.IntN(100); {
	case n < 26 && len(h.services) < maxServices:
		h.create()
	case n < 36:
		h.delete()
	case n < 56:
		h.ask()
	case n < 63:
		h.changeType()
	case n < 71:
		h.changeFamilies()
	case n < 86:
		h.changePool()
	case n < 89:
		h.relabel()
	case n < 95:
		h.crash()
	default:
		h.quiet()
	}
}

// chance is true in so many cases of a hundred.
func (h *history) chance(percent int) bool { return h.rng.IntN(100) < percent }

func (h *history) create() {
	h.Helper()
	h.born++
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaces[h.rng.IntN(2)], Name: fmt.Sprintf("s%d", h.born), Annotations: map[string]string{}},
		Spec:       loadBalancer(),
	}
	svc.Spec.Ports[0].Port = int32(80 + h.rng.IntN(3))
	h.request(svc.Annotations)
	for k, v := range svc.Annotations {
		if v == "" {
			delete(svc.Annotations, k)
		}
	}
	switch h.rng.IntN(8) {
	case 0, 1, 2:
		families(single, v4)(svc)
	case 3:
		families(single, v6)(svc)
	case 4, 5:
		families(prefer)(svc)
	case 6:
		families(require)(svc)
	default:
		families(require, v6, v4)(svc)
	}
	switch h.rng.IntN(10) {
	case 0, 1:
		class(kube.DefaultClass)(svc)
	case 2:
		class("example.com/lb")(svc)
	}
	h.witness.notef("create Service %s %v %v %v", svc.Name, *svc.Spec.IPFamilyPolicy, svc.Spec.IPFamilies, svc.Annotations)
	h.must(h.api.Create(h.Context(), svc))
	h.services = append(h.services, client.ObjectKeyFromObject(svc))
}

func (h *history) delete() {
	h.Helper()
	if len(h.services) == 0 {
		return
	}
	i := h.rng.IntN(len(h.services))
	key := h.services[i]
	h.services = slices.Delete(h.services, i, i+1)
	h.witness.notef("delete Service %s", key.Name)
	h.must(h.api.Delete(h.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}))
}

// request asks for something, or, with an empty value, no more.
func (h *history) request(annotations map[string]string) {
	if h.chance(30) {
		annotations[kube.AnnotationPool] = ""
		if h.chance(60) {
			annotations[kube.AnnotationPool] = fmt.Sprintf("p%d", h.rng.IntN(poolNames))
		}
	}
	if h.chance(30) {
		annotations[kube.AnnotationSharingKey] = []string{"", "", "k", "l"}[h.rng.IntN(4)]
	}
	if h.chance(30) {
		annotations[kube.AnnotationIPs] = ""
		n := h.rng.IntN(poolNames)
		if h.chance(60) {
			annotations[kube.AnnotationIPs] = fmt.Sprintf("10.77.%d.%d", n, h.rng.IntN(8))
		}
		if h.chance(15) {
			annotations[kube.AnnotationIPs] = fmt.Sprintf("10.77.%d.%d,fd77::%d:%d", n, h.rng.IntN(8), n, h.rng.IntN(4))
		}
		if h.chance(5) {
			annotations[kube.AnnotationIPs] = "some"
		}
	}
}

// ask has a Service ask for something else than before.
func (h *history) ask() {
	h.Helper()
	if len(h.services) == 0 {
		return
	}
	annotations := map[string]string{}
	h.request(annotations)
	var parts []string
	for k, v := range annotations {
		value := "null"
		if v != "" {
			value = fmt.Sprintf("%q", v)
		}
		parts = append(parts, fmt.Sprintf("%q:%s", k, value))
	}
	slices.Sort(parts)
	if len(parts) > 0 {
		h.patch(`{"metadata":{"annotations":{` + strings.Join(parts, ",") + `}}}`)
	}
}

func (h *history) changeType() {
	h.Helper()
	h.patch(fmt.Sprintf(`{"spec":{"type":%q}}`, []string{"LoadBalancer", "LoadBalancer", "ClusterIP", "NodePort"}[h.rng.IntN(4)]))
}

func (h *history) changeFamilies() {
	h.Helper()
	h.patch(fmt.Sprintf(`{"spec":{"ipFamilyPolicy":%q}}`, []corev1.IPFamilyPolicy{prefer, require, single}[h.rng.IntN(3)]))
}

// patch changes a Service. The API server may refuse it: a class cannot be kept by a ClusterIP.
func (h *history) patch(patch string) {
	h.Helper()
	if len(h.services) == 0 {
		return
	}
	key := h.services[h.rng.IntN(len(h.services))]
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	h.witness.touch(key)
	if strings.Contains(patch, kube.AnnotationSharingKey) {
		h.witness.rekey(key)
	}
	err := h.api.Patch(h.Context(), svc, client.RawPatch("application/merge-patch+json", []byte(patch)))
	if err != nil {
		h.witness.notef("patch Service %s with %s is refused", key.Name, patch)
		return
	}
	h.witness.notef("patch Service %s with %s", key.Name, patch)
}

const poolNames = 4

// changePool creates, edits or deletes a pool.
func (h *history) changePool() {
	h.Helper()
	n := h.rng.IntN(poolNames)
	p := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", n)}}
	key := client.ObjectKeyFromObject(p)
	_, exists := h.pools[p.Name]
	if exists && h.chance(15) {
		h.witness.notef("delete pool %s", p.Name)
		h.witness.reconfigure(p.Name, nil)
		h.must(h.api.Delete(h.Context(), p))
		delete(h.pools, p.Name)
		return
	}
	if exists {
		h.must(h.api.Get(h.Context(), key, p))
	}
	before := p.DeepCopy()
	h.shape(p, n)
	h.pools[p.Name]++
	h.witness.notef("pool %s: %v less %v, autoAssign %t, %v", p.Name, p.Spec.Addresses, p.Spec.Exclude, *p.Spec.AutoAssign, p.Spec.ServiceAllocation)
	h.witness.reconfigure(p.Name, p)
	if exists {
		h.must(h.api.Patch(h.Context(), p, client.MergeFrom(before)))
	} else {
		h.must(h.api.Create(h.Context(), p))
	}
}

// shape makes up a pool with few addresses; some overlap those of the next.
func (h *history) shape(p *v1beta1.IPAddressPool, n int) {
	first := h.rng.IntN(3)
	p.Spec.Addresses = []string{fmt.Sprintf("10.77.%d.%d-10.77.%d.%d", n, first, n, first+h.rng.IntN(6))}
	if h.chance(50) {
		p.Spec.Addresses = append(p.Spec.Addresses, fmt.Sprintf("fd77::%d:0-fd77::%d:%d", n, n, h.rng.IntN(4)))
	}
	if h.chance(12) {
		p.Spec.Addresses = append(p.Spec.Addresses, fmt.Sprintf("10.77.%d.0/30", (n+1)%poolNames))
	}
	p.Spec.Exclude = nil
	if h.chance(20) {
		p.Spec.Exclude = []string{fmt.Sprintf("10.77.%d.%d", n, h.rng.IntN(8))}
	}
	auto := h.chance(80)
	p.Spec.AutoAssign = &auto
	p.Spec.AvoidBuggyIPs = h.chance(10)
	p.Spec.ServiceAllocation = nil
	switch h.rng.IntN(6) {
	case 0:
		p.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{Priority: int32(h.rng.IntN(4))}
	case 1:
		p.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{Namespaces: []string{namespaces[h.rng.IntN(2)]}}
	case 2:
		p.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{NamespaceSelectors: []v1beta1.LabelSelector{{MatchLabels: map[string]string{"tier": "gold"}}}}
	}
}

func (h *history) relabel() {
	h.Helper()
	name, tier := namespaces[h.rng.IntN(2)], []string{"gold", "lead"}[h.rng.IntN(2)]
	h.witness.notef("namespace %s is %s", name, tier)
	patch := fmt.Sprintf(`{"metadata":{"labels":{"tier":%q}}}`, tier)
	h.must(h.api.Patch(h.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, client.RawPatch("application/merge-patch+json", []byte(patch))))
}

// launch runs the controllers that there should be and are not.
func (h *history) launch() {
	h.Helper()
	if !h.election {
		h.ctl = launch(h.T, "--leader-elect=false", "--log-level=warn")
		return
	}
	for _, c := range []**controller{&h.ctl, &h.spare} {
		if *c == nil || !(*c).alive() {
			*c = launch(h.T)
		}
	}
}

// elect replaces the controllers by two with an election, or one without.
func (h *history) elect(election bool) {
	h.Helper()
	h.witness.notef("election: %t", election)
	h.stop()
	if h.spare != nil {
		h.must(h.spare.stop())
		h.spare = nil
	}
	h.election = election
	h.launch()
}

// crash kills a controller amid its work, and has another follow.
func (h *history) crash() {
	h.Helper()
	time.Sleep(time.Duration(h.rng.IntN(30)) * time.Millisecond)
	if !h.election {
		h.kills++
		h.witness.notef("kill the controller")
		h.ctl.kill()
		h.launch()
		if h.chance(60) {
			h.stage.ask() // else much happens before it is there
		}
		return
	}
	leader, standby := h.ctl, h.spare
	if standby.leads() {
		leader, standby = standby, leader
	}
	if !leader.leads() {
		return // nobody does yet
	}
	if h.chance(25) {
		h.witness.notef("stop the leader")
		h.must(leader.stop())
	} else {
		h.kills++
		h.witness.notef("kill the leader")
		leader.kill()
		// The lease of who is dead for certain need not be waited for.
		h.must(client.IgnoreNotFound(h.api.Delete(h.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "fairlead-controller"}})))
	}
	h.within(patience, "the standby leads", func() error {
		if !standby.leads() {
			return errNotYet
		}
		return nil
	})
	h.handovers++
	h.ctl, h.spare = standby, nil
	h.launch()
}

// quiet waits until nothing changes, and checks that everything is as it should be.
func (h *history) quiet() {
	h.Helper()
	h.quiets++
	h.settle(surely)
	for _, fault := range h.witness.rest() {
		h.Errorf("in a quiet moment: %s", fault)
	}
	h.inspect()
}
