// Package e2e tells the stories that Fairlead must live through, on a real cluster:
// internal/lab with Fairlead installed from its own manifests, seen through kubectl
// and from a client outside the nodes.
//
// Each story has a namespace and objects of its own, and they run one after the
// other on one cluster. `make test-e2e` runs them; they need Linux and root.
package e2e
