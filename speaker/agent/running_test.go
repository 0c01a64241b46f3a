package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A story is what happens to the Agent of node-1, and when, in a cluster in which node-2 has a speaker too. Both
// can announce what Services have.
type story []struct {
	after time.Duration
	do    func(*running)
}

// running is an Agent that decides, in a bubble of synctest.
type running struct {
	*Agent
	began time.Time
	// told is what was decided: when, the tasks, and of each Service that has changed what becomes of it
	// and who else uses its addresses.
	told []string
	// theirs is what node-2 answers when it is asked; nil while it does not.
	theirs *theirAnswer
}

type theirAnswer struct{ announces, returning bool }

var modes = map[announce.Mode]string{announce.Own: "own", announce.Fresh: "fresh", announce.Yielding: "yielding", announce.Standin: "standin"}

func (r *running) note(d Decided) {
	var parts []string
	for _, t := range d.Tasks {
		parts = append(parts, modes[t.Mode])
		if t.Insists > 0 {
			parts = append(parts, fmt.Sprintf("insists=%d", t.Insists))
		}
	}
	for _, c := range d.Changed {
		parts = append(parts, c.Service.Name+":")
		for _, x := range c.Of {
			parts = append(parts, string(x.Reason))
			if x.Node != "" {
				parts = append(parts, x.Node)
			}
		}
		for _, x := range c.Conflicts {
			parts = append(parts, x.MAC)
		}
	}
	if n := len(d.Conflicts); n > 0 {
		parts = append(parts, fmt.Sprintf("conflicts=%d", n))
	}
	if d.Again > 0 {
		parts = append(parts, fmt.Sprintf("again=%d", d.Again))
	}
	r.told = append(r.told, time.Since(r.began).String()+" "+strings.Join(parts, " "))
}

func (r *running) put(objects ...client.Object) {
	for _, o := range objects {
		r.post(r.cached(o))
	}
}

func (r *running) drop(kind int, of name) { r.post(r.kinds()[kind].drop(of)) }

// tell has a story happen, and returns what was decided after its beginning, in which node-1 is to announce.
func (s story) tell(t *testing.T) (told []string) {
	synctest.Test(t, func(t *testing.T) {
		r := &running{began: time.Now()}
		r.Agent = testAgent(r.note)
		r.Duplicate = func(node string) { r.told = append(r.told, time.Since(r.began).String()+" duplicate "+node) }
		r.Ask = func(node string, a netip.Addr) {
			if x := r.theirs; x != nil {
				r.Answered(a, node, x.announces, x.returning)
			}
		}
		go r.decide(t.Context())
		r.put(
			&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}},
			&v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 1}},
			slice("fairlead-system", "speaker-x", "speaker", "node-1", "node-2"),
			slice("ns", "web-1", "web", "node-1", "node-2"), recordedService("node-1", "node-2"),
		)
		for _, n := range []string{"node-1", "node-2"} {
			r.put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}},
				&v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: n}, Status: v1beta1.SpeakerStatusStatus{Interfaces: interfaces(n, historyLinks)}})
		}
		r.post(func(w *world) { w.links = linksOf("node-1", historyLinks) })
		close(r.synced)
		synctest.Wait()
		r.told = nil
		for _, step := range s {
			time.Sleep(step.after)
			step.do(r)
			synctest.Wait()
		}
		told = slices.Clone(r.told)
	})
	return told
}

// recordedService is ns/web with 192.0.2.7, recorded for some nodes, that has not been announced yet.
func recordedService(nodes ...string) *corev1.Service {
	s := service("192.0.2.7")
	s.Annotations[kube.AnnotationAnnouncers] = "192.0.2.7=" + strings.Join(nodes, ",")
	return s
}
