package kube

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestReaders(t *testing.T) {
	client := fake.NewClientset()
	asked, away := 0, false
	client.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		asked++
		if away {
			return true, nil, errors.New("connection refused")
		}
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		review.Status.Authenticated = review.Spec.Token != "forged"
		review.Status.User.Username = review.Spec.Token
		return true, review, nil
	})
	client.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		to := review.Spec.NonResourceAttributes
		review.Status.Allowed = review.Spec.User == "prometheus" && to.Path == "/metrics" && to.Verb == "get"
		return true, review, nil
	})
	r := &readers{
		tokens: client.AuthenticationV1().TokenReviews(), access: client.AuthorizationV1().SubjectAccessReviews(), allowed: cache.NewExpiring(),
	}
	h, err := r.filter(logr.Discard(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) }))
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		reason, method, path, header string
		away                         bool
		want, asked                  int
	}{
		{"No token is nobody.", "GET", "/metrics", "", false, 401, 0},
		{"A password is no token.", "GET", "/metrics", "Basic eDp5", false, 401, 0},
		{"An empty token is nobody.", "GET", "/metrics", "Bearer ", false, 401, 0},
		{"A token that the API server does not know is nobody.", "GET", "/metrics", "Bearer forged", false, 401, 1},
		{"Somebody who may not is told so.", "GET", "/metrics", "Bearer tenant", false, 403, 1},
		{"An API server that is away lets nobody in.", "GET", "/metrics", "Bearer prometheus", true, 503, 1},
		{"Who may is let in.", "GET", "/metrics", "Bearer prometheus", false, 200, 1},
		{"Who was let in is not asked about again, even with the API server away.", "GET", "/metrics", "Bearer prometheus", true, 200, 0},
		{"What was allowed for one path is not for another.", "GET", "/debug/pprof", "Bearer prometheus", false, 403, 1},
		{"Nor for another verb.", "POST", "/metrics", "Bearer prometheus", false, 403, 1},
		{"Refusals are not remembered.", "GET", "/metrics", "Bearer tenant", false, 403, 1},
	} {
		asked, away = 0, tc.away
		req := httptest.NewRequest(tc.method, tc.path, http.NoBody)
		req.Header.Set("Authorization", tc.header)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != tc.want || asked != tc.asked {
			t.Errorf("%s: answered %d after asking %d times, want %d after %d", tc.reason, rec.Code, asked, tc.want, tc.asked)
		}
	}
}
