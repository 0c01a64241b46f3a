package peerstatus

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

func peer(name, address string) *v1beta1.BGPPeer {
	return &v1beta1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1beta1.BGPPeerSpec{
			MyASN: 64512, PeerASN: 64513, PeerAddress: address,
			NodeSelectors: []v1beta1.LabelSelector{{MatchLabels: map[string]string{"router": name}}},
		},
	}
}

func node(n int, router string) *corev1.Node { return nodeThat(n, router, corev1.ConditionTrue) }

func nodeThat(n int, router string, ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", n), Labels: map[string]string{"router": router}},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}},
	}
}

func speaker(n int, lost ...string) *v1beta1.SpeakerStatus {
	s := &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", n)}}
	s.Status.Conditions = []metav1.Condition{{Type: v1beta1.ConditionConnected, Status: metav1.ConditionTrue}}
	for _, name := range lost {
		s.Status.LostNodes = append(s.Status.LostNodes, v1beta1.LostNode{Name: name})
	}
	return s
}

func report(n int, peer, state, err string) *v1beta1.BGPStatus {
	return &v1beta1.BGPStatus{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", n)},
		Status:     v1beta1.BGPStatusStatus{Sessions: []v1beta1.BGPSession{{Peer: peer, State: state, LastError: err}}},
	}
}

func TestReconcile(t *testing.T) {
	cases := map[string]struct {
		reason  string
		objects []client.Object
		want    string // of peer a
	}{
		"None":  {"nobody is selected", []client.Object{node(1, "b")}, "0/0 established: False NoNodes: no node is to have a session"},
		"All":   {"all that are selected", []client.Object{node(1, "a"), node(2, "b"), report(1, "a", "Established", "")}, "1/1 established: True Established: 1/1 established"},
		"Other": {"a session with another peer is none", []client.Object{node(1, "a"), report(1, "b", "Established", "")}, "0/1 established: False NotEstablished: 0/1 established; node-1: nothing is reported"},
		"Former": {
			"a node that is not selected any more does not count", []client.Object{node(1, "a"), node(2, "b"), report(1, "a", "Established", ""), report(2, "a", "Established", "")},
			"1/1 established: True Established: 1/1 established",
		},
		"Dead": {
			"what a dead node's speaker reported last does not count",
			[]client.Object{node(1, "a"), nodeThat(2, "a", corev1.ConditionUnknown), report(1, "a", "Established", ""), report(2, "a", "Established", "")},
			"1/2 established: False NotEstablished: 1/2 established; node-2: the node is not ready",
		},
		"Lost": {
			"nor what the speaker of a lost node did, which Kubernetes takes for ready for a while",
			[]client.Object{
				node(1, "a"), node(2, "a"), node(3, "a"), report(1, "a", "Established", ""), report(2, "a", "Established", ""), report(3, "a", "Established", ""),
				speaker(1, "node-3"), speaker(2, "node-3"), speaker(3),
			},
			"2/3 established: False NotEstablished: 2/3 established; node-3: the node is lost",
		},
		"Some": {
			"those without say why, a few of them", []client.Object{
				node(1, "a"), node(2, "a"), node(3, "a"), node(4, "a"), node(5, "a"),
				report(1, "a", "Active", "connection refused"), report(2, "a", "Established", ""), report(3, "a", "OpenSent", ""), report(4, "a", "Active", "x"), report(5, "a", "Active", "y"),
			},
			"1/5 established: False NotEstablished: 1/5 established; node-1: connection refused; node-3: OpenSent; node-4: x; and 1 more",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scheme, err := kube.NewScheme()
			if err != nil {
				t.Fatal(err)
			}
			api := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta1.BGPPeer{}).
				WithObjects(append(tc.objects, peer("a", "192.0.2.1"), peer("b", "192.0.2.2"))...).Build()
			r := &Reconciler{Client: api}
			var p v1beta1.BGPPeer
			version := ""
			for range 2 { // the second time nothing is written
				version = p.ResourceVersion
				if _, err := r.Reconcile(t.Context(), reconcile.Request{}); err != nil {
					t.Fatal(err)
				}
				if err := api.Get(t.Context(), client.ObjectKey{Name: "a"}, &p); err != nil {
					t.Fatal(err)
				}
			}
			if p.ResourceVersion != version {
				t.Error("it is written again although nothing has changed")
			}
			c := meta.FindStatusCondition(p.Status.Conditions, v1beta1.ConditionEstablished)
			if got := fmt.Sprintf("%s: %s %s: %s", p.Status.Sessions, c.Status, c.Reason, c.Message); got != tc.want {
				t.Errorf("%s: %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

func TestTurned(t *testing.T) {
	is, unknown := node(1, "a"), nodeThat(1, "a", corev1.ConditionUnknown)
	for name, tc := range map[string]struct {
		old, new client.Object
		want     bool
	}{
		"Dies":      {is, unknown, true},
		"Returns":   {unknown, is, true},
		"Heartbeat": {is, is, false},
		"StillDead": {unknown, nodeThat(1, "a", corev1.ConditionFalse), false},
	} {
		if got := turned(event.UpdateEvent{ObjectOld: tc.old, ObjectNew: tc.new}); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
