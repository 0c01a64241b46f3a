package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// readers lets those read the metrics whom the API server knows by their bearer token and
// allows the path. controller-runtime has the same, but on top of the API server's own
// libraries, which make up a third of a binary's resident memory.
type readers struct {
	tokens authentication.TokenReviewInterface
	access authorization.SubjectAccessReviewInterface
	// allowed remembers who was let in to what, under a hash of the token.
	allowed *cache.Expiring
}

// remembered is how long one that was let in is not asked about again.
const remembered = time.Minute

var (
	errUnauthenticated = errors.New("a bearer token that the API server accepts is needed")
	errForbidden       = errors.New("the API server does not allow this")
)

// onlyReaders is a metricsserver filter provider.
func onlyReaders(rc *rest.Config, hc *http.Client) (metricsserver.Filter, error) {
	tokens, err := authentication.NewForConfigAndClient(rc, hc)
	if err != nil {
		return nil, err
	}
	access, err := authorization.NewForConfigAndClient(rc, hc)
	if err != nil {
		return nil, err
	}
	r := &readers{tokens: tokens.TokenReviews(), access: access.SubjectAccessReviews(), allowed: cache.NewExpiring()}
	return r.filter, nil
}

func (r *readers) filter(log logr.Logger, next http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		err := r.admit(req)
		switch {
		case err == nil:
			next.ServeHTTP(w, req)
		case errors.Is(err, errUnauthenticated):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, err.Error(), http.StatusUnauthorized)
		case errors.Is(err, errForbidden):
			http.Error(w, err.Error(), http.StatusForbidden)
		default:
			log.Error(err, "cannot tell who may read the metrics")
			http.Error(w, "the API server cannot be asked who may read this", http.StatusServiceUnavailable)
		}
	}), nil
}

// admit returns nil if a request may pass.
func (r *readers) admit(req *http.Request) error {
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if token = strings.TrimSpace(token); !ok || token == "" {
		return errUnauthenticated
	}
	verb := strings.ToLower(req.Method)
	key := sha256.Sum256([]byte(verb + " " + req.URL.Path + " " + token))
	if _, ok := r.allowed.Get(key); ok {
		return nil
	}
	if err := r.ask(req.Context(), token, verb, req.URL.Path); err != nil {
		return err
	}
	r.allowed.Set(key, struct{}{}, remembered)
	return nil
}

// ask has the API server say who a token is, and whether that one may.
func (r *readers) ask(ctx context.Context, token, verb, path string) error {
	review, err := r.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("review a token: %w", err)
	case !review.Status.Authenticated:
		return errUnauthenticated
	}
	user := review.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	access, err := r.access.Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
		},
	}, metav1.CreateOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("review the access of %s: %w", user.Username, err)
	case !access.Status.Allowed:
		return errForbidden
	default:
		return nil
	}
}
