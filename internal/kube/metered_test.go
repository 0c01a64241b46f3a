package kube

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestMetered(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			w.WriteHeader(http.StatusConflict)
		}
	}))
	defer server.Close()
	for _, c := range []struct{ method, path, verb, resource string }{
		{http.MethodGet, "/api/v1/services", "list", "services"},
		{http.MethodGet, "/api/v1/namespaces", "list", "namespaces"},
		{http.MethodGet, "/api/v1/namespaces/shop", "get", "namespaces"},
		{http.MethodGet, "/api/v1/namespaces/shop/services/web", "get", "services"},
		{http.MethodPatch, "/api/v1/namespaces/shop/services/web/status", "patch", "services/status"},
		{http.MethodPatch, "/apis/fairlead.io/v1beta1/speakerstatuses/node-1/status", "patch", "speakerstatuses/status"},
		{http.MethodPost, "/apis/events.k8s.io/v1/namespaces/shop/events", "create", "events"},
		{http.MethodGet, "/api/v1/services?watch=true", "", ""},
		{http.MethodGet, "/version", "", ""},
		{http.MethodGet, "/apis/fairlead.io/v1beta1", "", ""},
	} {
		var got []Answered
		client := http.Client{Transport: metered{http.DefaultTransport, func(a Answered) { got = append(got, a) }}}
		req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		switch {
		case c.verb == "":
			if len(got) > 0 {
				t.Errorf("%s %s is measured: %+v", c.method, c.path, got)
			}
		case len(got) != 1 || got[0].Verb != c.verb || got[0].Resource != c.resource || got[0].Code != response.StatusCode || got[0].Took <= 0:
			t.Errorf("%s %s: %+v", c.method, c.path, got)
		}
	}
}
