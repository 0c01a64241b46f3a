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
	verb, resource := verbOf(r), resourceOf(r.URL.Path)
	if resource == "" || r.URL.Query().Get("watch") != "" {
		return m.next.RoundTrip(r)
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

func verbOf(r *http.Request) string {
	if v := verbs[r.Method]; v != "get" || name(r.URL.Path) != "" {
		return v
	}
	return "list"
}

// resourceOf returns the resource of a path, with its subresource; empty for a path that is of none, as /version.
func resourceOf(path string) string {
	parts := resourceParts(path)
	switch len(parts) {
	case 0:
		return ""
	case 3:
		return parts[0] + "/" + parts[2]
	default:
		return parts[0]
	}
}

// name returns the name of the object that a path is of; empty if it is of all.
func name(path string) string {
	if parts := resourceParts(path); len(parts) > 1 {
		return parts[1]
	}
	return ""
}

// resourceParts returns the resource of a path, and where they are there the name and the subresource.
func resourceParts(path string) []string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return nil
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	return parts[:min(len(parts), 3)]
}
