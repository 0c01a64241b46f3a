package conditions

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
)

// TestSelections: pools say who announces them, and advertisements how much they select.
func TestSelections(t *testing.T) {
	pool := func(name, addresses string) v1beta1.IPAddressPool {
		return v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{addresses}}}
	}
	edge := []v1beta1.LabelSelector{{MatchLabels: map[string]string{"edge": "yes"}}}
	l2 := func(name string, spec v1beta1.L2AdvertisementSpec) v1beta1.L2Advertisement {
		return v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	bgp := func(name string, spec v1beta1.BGPAdvertisementSpec) v1beta1.BGPAdvertisement {
		return v1beta1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	o := config.Objects{
		Pools: []v1beta1.IPAddressPool{pool("a", "192.0.2.0/24"), pool("b", "198.51.100.0/24"), pool("forgotten", "203.0.113.0/24"), pool("wrong", "nonsense")},
		L2Advertisements: []v1beta1.L2Advertisement{
			l2("edge", v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"a"}, NodeSelectors: edge}),
			l2("nowhere", v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"b"}, NodeSelectors: []v1beta1.LabelSelector{{MatchLabels: map[string]string{"edge": "no"}}}}),
			l2("renamed", v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"former"}}),
			l2("wrong", v1beta1.L2AdvertisementSpec{Interfaces: []string{"["}}),
		},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{bgp("all", v1beta1.BGPAdvertisementSpec{IPAddressPools: []string{"a", "b"}})},
	}
	c := &cluster{}
	c.snapshot, _ = config.Build(o)
	for i, labels := range []map[string]string{{"edge": "yes"}, {"edge": "yes"}, nil} {
		c.nodes = append(c.nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i), Labels: labels}})
	}
	for name, tc := range map[string]struct {
		object          client.Object
		condition, want string
	}{
		"Both":      {&o.Pools[0], v1beta1.ConditionAdvertised, "True Advertised: by L2Advertisement edge, BGPAdvertisement all"},
		"NoNode":    {&o.Pools[1], v1beta1.ConditionAdvertised, "True Advertised: by L2Advertisement nowhere, BGPAdvertisement all"},
		"Forgotten": {&o.Pools[2], v1beta1.ConditionAdvertised, "False NoAdvertisement: no L2Advertisement or BGPAdvertisement is for this pool: its addresses are assigned, but not announced"},
		"Edge":      {&o.L2Advertisements[0], v1beta1.ConditionMatching, "True Matching: 1 of 4 pools, 2 of 3 nodes"},
		"Nowhere":   {&o.L2Advertisements[1], v1beta1.ConditionMatching, "False NoNode: 1 of 4 pools, 0 of 3 nodes"},
		"Renamed":   {&o.L2Advertisements[2], v1beta1.ConditionMatching, "False NoPool: 0 of 4 pools, 3 of 3 nodes"},
		"Wrong":     {&o.L2Advertisements[3], v1beta1.ConditionMatching, "False NotAccepted: the advertisement is not accepted"},
		"All":       {&o.BGPAdvertisements[0], v1beta1.ConditionMatching, "True Matching: 2 of 4 pools, 3 of 3 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			x := meta.FindStatusCondition(c.judge(tc.object, nil), tc.condition)
			if x == nil {
				t.Fatalf("no condition %s", tc.condition)
			}
			if got := fmt.Sprintf("%s %s: %s", x.Status, x.Reason, x.Message); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
