package kube

import (
	"net/http"
	"strings"
	"time"
)

// Answered is how the API server answered a request.
type Answered struct {
	// Verb is create, get, list, update, patch or delete. Watches are not measured: they last.
	Verb string
	// Resource is that of the object, with its subresource if there is one: services/status.
	Resource string
	// Code is the HTTP status code; 0 where there was no answer.
	Code int
	Took time.Duration
}

// metered reports how each request was answered.
type metered struct {
	next   http.RoundTripper
	report func(Answered)
}

// RoundTrip sends a request and measures it until the headers of the answer are there.
func (m metered) RoundTrip(r *http.Request) (*http.Response, error) {
	resource, named := resourceOf(r.URL.Path)
	if resource == "" || r.URL.Query().Get("watch") != "" {
		return m.next.RoundTrip(r)
	}
	verb := verbs[r.Method]
	if verb == "get" && !named {
		verb = "list"
	}
	begin := time.Now()
	response, err := m.next.RoundTrip(r)
	a := Answered{Verb: verb, Resource: resource, Took: time.Since(begin)}
	if response != nil {
		a.Code = response.StatusCode
	}
	m.report(a)
	return response, err
}

// WrappedRoundTripper lets client-go find what it cancels requests with.
func (m metered) WrappedRoundTripper() http.RoundTripper { return m.next }

// verbs are Kubernetes' words for the methods of HTTP.
var verbs = map[string]string{
	http.MethodPost: "create", http.MethodGet: "get", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// resourceOf returns the resource of a path, with its subresource, and whether it is of one object; empty for a path that is of none, as
// /version.
func resourceOf(path string) (resource string, named bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "", false
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) > 2 {
		return parts[0] + "/" + parts[2], true
	}
	return parts[0], len(parts) > 1
}
