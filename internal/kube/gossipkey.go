package kube

import (
	"fmt"

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

// IsGossipSecret reports whether a Secret is the one with the speakers' key.
func IsGossipSecret(s *corev1.Secret) bool { return s.Name == GossipSecret }

// MaxPassword is how many bytes a password may have (RFC 2385 sets no limit; Linux does).
const MaxPassword = 80

// Password returns the password in a Secret of type kubernetes.io/basic-auth, or says why there is none that can be used.
func Password(s *corev1.Secret) (password, fault string) {
	at := "Secret " + s.Name
	switch p := string(s.Data[corev1.BasicAuthPasswordKey]); {
	case s.Type != corev1.SecretTypeBasicAuth:
		return "", at + " is not of type " + string(corev1.SecretTypeBasicAuth)
	case p == "":
		return "", at + " has no key " + corev1.BasicAuthPasswordKey
	case len(p) > MaxPassword:
		return "", fmt.Sprintf("%s: a password of %d bytes is too long, %d are possible", at, len(p), MaxPassword)
	default:
		return p, ""
	}
}

// OnlyGossipSecret is what of all Secrets the controller reads: that one.
func OnlyGossipSecret(namespace string) cache.ByObject {
	return cache.ByObject{
		Namespaces: map[string]cache.Config{namespace: {}},
		Field:      fields.OneTermEqualSelector(metav1.ObjectNameField, GossipSecret),
	}
}

// OwnSecrets is what of all Secrets a speaker reads: those of Fairlead's namespace, and of them what is used.
func OwnSecrets(namespace string) cache.ByObject {
	return cache.ByObject{Namespaces: map[string]cache.Config{namespace: {}}, Transform: TrimSecret}
}

// TrimSecret leaves of a Secret the speakers' key or a password.
func TrimSecret(o any) (any, error) {
	s, ok := o.(*corev1.Secret)
	if !ok {
		return o, nil
	}
	keep := map[string][]byte{}
	switch {
	case IsGossipSecret(s):
		keep[gossipKey] = s.Data[gossipKey]
	case s.Type == corev1.SecretTypeBasicAuth:
		keep[corev1.BasicAuthPasswordKey] = s.Data[corev1.BasicAuthPasswordKey]
	}
	return &corev1.Secret{
		TypeMeta: s.TypeMeta, Type: s.Type, Data: keep,
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion},
	}, nil
}
