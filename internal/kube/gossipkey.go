package kube

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// The Secret whose key the speakers encrypt with what they say to each other.
const (
	GossipSecret = "fairlead-gossip"
	gossipKey    = "key"
	gossipBytes  = 32
)

// NewGossipSecret returns that Secret with a key of random bytes.
func NewGossipSecret(namespace string, random func([]byte)) *corev1.Secret {
	key := make([]byte, gossipBytes)
	random(key)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: GossipSecret,
			Labels: map[string]string{"app.kubernetes.io/name": "fairlead", "app.kubernetes.io/managed-by": "fairlead-controller"},
		},
		Data: map[string][]byte{gossipKey: key},
	}
}

// GossipKey returns the key, or nil if there is none of a length that can be used.
func GossipKey(s *corev1.Secret) []byte {
	switch key := s.Data[gossipKey]; len(key) {
	case 16, 24, 32:
		return key
	default:
		return nil
	}
}

// OnlyGossipSecret is what of all Secrets is read: that one.
func OnlyGossipSecret(namespace string) cache.ByObject {
	return cache.ByObject{
		Namespaces: map[string]cache.Config{namespace: {}},
		Field:      fields.OneTermEqualSelector(metav1.ObjectNameField, GossipSecret),
	}
}
