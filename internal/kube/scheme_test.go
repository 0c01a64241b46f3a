package kube

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A kind that is not mapped is never read, and whoever waits for it waits for ever.
func TestMapper(t *testing.T) {
	m, err := newMapper(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]struct {
		resource string
		scope    meta.RESTScopeName
	}{
		"IPAddressPool":    {"ipaddresspools", meta.RESTScopeNameRoot},
		"L2Advertisement":  {"l2advertisements", meta.RESTScopeNameRoot},
		"IPClaim":          {"ipclaims", meta.RESTScopeNameNamespace},
		"SpeakerStatus":    {"speakerstatuses", meta.RESTScopeNameRoot},
		"BGPPeer":          {"bgppeers", meta.RESTScopeNameRoot},
		"BGPAdvertisement": {"bgpadvertisements", meta.RESTScopeNameRoot},
		"BFDProfile":       {"bfdprofiles", meta.RESTScopeNameRoot},
		"Community":        {"communities", meta.RESTScopeNameRoot},
	} {
		got, err := m.RESTMapping(v1beta1.GroupVersion.WithKind(kind).GroupKind(), v1beta1.GroupVersion.Version)
		if err != nil {
			t.Error(err)
			continue
		}
		if got.Resource.Resource != want.resource || got.Scope.Name() != want.scope {
			t.Errorf("%s is %s, %s", kind, got.Resource.Resource, got.Scope.Name())
		}
	}
}
