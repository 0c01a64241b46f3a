package conditions

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Generation: 3} }

// TestKinds has every kind judged: of each a good object and one that is at fault.
func TestKinds(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	far := v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"}
	prefer, other := int64(100), int64(200)
	objects := []client.Object{
		&v1beta1.IPAddressPool{ObjectMeta: named("good"), Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}},
		&v1beta1.IPAddressPool{ObjectMeta: named("poor"), Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}},
		&v1beta1.L2Advertisement{ObjectMeta: named("good")},
		&v1beta1.L2Advertisement{ObjectMeta: named("poor"), Spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"nowhere"}}},
		&v1beta1.BGPPeer{ObjectMeta: named("good"), Spec: far},
		&v1beta1.BGPPeer{ObjectMeta: named("poor"), Spec: far},
		&v1beta1.BGPAdvertisement{ObjectMeta: named("good"), Spec: v1beta1.BGPAdvertisementSpec{LocalPref: &prefer, Communities: []string{"here", "no-export"}}},
		&v1beta1.BGPAdvertisement{ObjectMeta: named("poor"), Spec: v1beta1.BGPAdvertisementSpec{LocalPref: &other}},
		&v1beta1.BFDProfile{ObjectMeta: named("good")},
		&v1beta1.BFDProfile{ObjectMeta: named("poor"), Spec: v1beta1.BFDProfileSpec{EchoMode: true}},
		&v1beta1.Community{ObjectMeta: named("good"), Spec: v1beta1.CommunitySpec{Communities: []v1beta1.CommunityAlias{{Name: "here", Value: "64512:1"}}}},
		&v1beta1.Community{ObjectMeta: named("poor"), Spec: v1beta1.CommunitySpec{Communities: []v1beta1.CommunityAlias{{Name: "here", Value: "64512:1"}}}},
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(objects...).Build()
	r := &Reconciler{Client: api, Live: api, Recorder: events.NewFakeRecorder(len(objects))}
	reconciled := func() {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), reconcile.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	reconciled()
	want := map[string]string{
		"IPAddressPool good": "Accepted", "IPAddressPool poor": "Overlap",
		"L2Advertisement good": "Accepted", "L2Advertisement poor": "PoolNotFound",
		"BGPPeer good": "Accepted", "BGPPeer poor": "PeerConflict",
		"BGPAdvertisement good": "Accepted", "BGPAdvertisement poor": "AttributeConflict",
		"BFDProfile good": "Accepted", "BFDProfile poor": "InvalidProfile",
		"Community good": "Accepted", "Community poor": "DuplicateAlias",
	}
	before := judged(t, api)
	if diff := cmp.Diff(want, before.reasons); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	reconciled()
	if diff := cmp.Diff(before.versions, judged(t, api).versions); diff != "" {
		t.Errorf("written again, without a change: -before, +after:\n%s", diff)
	}

	get := func(o client.Object) {
		t.Helper()
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
	}
	ad := &v1beta1.BGPAdvertisement{ObjectMeta: named("good")}
	get(ad)
	if diff := cmp.Diff([]string{"64512:1", "no-export"}, ad.Status.AcceptedSpec.Communities); diff != "" {
		t.Errorf("communities that were accepted: -want, +got:\n%s", diff)
	}
	for _, o := range objects {
		if _, is := o.(*v1beta1.Community); is {
			if err := api.Delete(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
	}
	reconciled()
	get(ad)
	c := meta.FindStatusCondition(ad.Status.Conditions, v1beta1.ConditionAccepted)
	if c.Reason != string(config.CommunityNotFound) || len(ad.Status.AcceptedSpec.Communities) != 2 {
		t.Errorf("without its alias: %s, accepted are %v", c.Reason, ad.Status.AcceptedSpec.Communities)
	}
}

type verdicts struct{ reasons, versions map[string]string }

// judged reads what all objects say of themselves.
func judged(t *testing.T, c client.Reader) verdicts {
	t.Helper()
	out := verdicts{map[string]string{}, map[string]string{}}
	for i := range kinds {
		k := &kinds[i]
		all, err := k.read(t.Context(), c, &config.Objects{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			at := string(k.name) + " " + o.GetName()
			out.versions[at] = o.GetResourceVersion()
			accepted := meta.FindStatusCondition(*k.conditions(o), v1beta1.ConditionAccepted)
			if accepted == nil || accepted.ObservedGeneration != o.GetGeneration() {
				t.Errorf("%s: %+v", at, accepted)
				continue
			}
			out.reasons[at] = accepted.Reason
		}
	}
	return out
}
