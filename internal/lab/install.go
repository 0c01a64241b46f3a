//go:build linux

package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// Workloads are what `kubectl rollout status` is asked about after an installation.
var workloads = []string{"deployment/controller", "daemonset/speaker"}

// Namespace is where Fairlead is installed.
const Namespace = "fairlead-system"

// Install installs Fairlead from a checkout as its user would: it loads the archives that `make images` left,
// applies manifests/default and waits until all pods are ready.
func (l *Lab) Install(ctx context.Context, checkout string) error {
	for _, image := range []string{"controller.tar", "speaker.tar"} {
		if err := l.LoadImage(ctx, filepath.Join(checkout, "build/images", image)); err != nil {
			return fmt.Errorf("load image %s (make images makes it): %w", image, err)
		}
	}
	if out, err := l.Kubectl(ctx, nil, "apply", "-k", filepath.Join(checkout, "manifests/default")); err != nil {
		return fmt.Errorf("apply manifests/default: %w\n%s", err, out)
	}
	return l.RolledOut(ctx, workloads...)
}

// Add has a workload of Fairlead run with more arguments, as the components have it, and waits until it does. Some need the capability
// NET_ADMIN. `kubectl rollout undo` takes them back.
func (l *Lab) Add(ctx context.Context, workload string, netAdmin bool, args ...string) error {
	const container = "/spec/template/spec/containers/0"
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	var patch []operation
	for _, arg := range args {
		patch = append(patch, operation{"add", container + "/args/-", arg})
	}
	if netAdmin {
		patch = append(patch, operation{"add", container + "/securityContext/capabilities/add/-", "NET_ADMIN"})
	}
	if out, err := l.Kubectl(ctx, nil, "-n", Namespace, "patch", workload, "--type=json", "-p", toJSON(patch)); err != nil {
		return fmt.Errorf("patch %s: %w\n%s", workload, err, out)
	}
	return l.RolledOut(ctx, workload)
}

// Leader returns the node of the controller that leads.
func (l *Lab) Leader(ctx context.Context) (node string, err error) {
	holder, err := l.Kubectl(ctx, nil, "-n", Namespace, "get", "lease", "fairlead-controller", "-o", "jsonpath={.spec.holderIdentity}")
	if err != nil {
		return "", err
	}
	pod, _, _ := strings.Cut(holder, "_")
	node, err = l.Kubectl(ctx, nil, "-n", Namespace, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
	return strings.TrimSpace(node), err
}

// RolledOut waits until workloads of Fairlead have all their pods ready.
func (l *Lab) RolledOut(ctx context.Context, workloads ...string) error {
	for _, w := range workloads {
		if out, err := l.Kubectl(ctx, nil, "-n", Namespace, "rollout", "status", w, "--timeout=90s"); err != nil {
			pods, _ := l.Kubectl(ctx, nil, "-n", Namespace, "describe", "pods")
			return fmt.Errorf("%s is not ready: %w\n%s\n%s", w, err, strings.TrimSpace(out), pods)
		}
	}
	return nil
}
