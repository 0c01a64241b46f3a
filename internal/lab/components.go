//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Stop ends a component ("etcd", "kube-apiserver", …, "node-1/kubelet", …) as its service manager would.
func (l *Lab) Stop(component string) error { return l.call("Stop", component, &None{}) }

// Kill ends a component without warning.
func (l *Lab) Kill(component string) error { return l.call("Kill", component, &None{}) }

// Start starts a component that was stopped or killed.
func (l *Lab) Start(component string) error { return l.call("Start", component, &None{}) }

// Restart stops and starts a component.
func (l *Lab) Restart(component string) error {
	return errors.Join(l.Stop(component), l.Start(component))
}

// Wake restarts the components of Kubernetes, which after an outage of the API server may look away for up to a minute,
// and waits until the nodes reach the API server by its Service again.
func (l *Lab) Wake(ctx context.Context) error {
	components := []string{ControllerManager, Scheduler}
	for _, node := range l.Nodes() {
		components = append(components, node+"/"+Kubelet, node+"/"+KubeProxy)
	}
	for _, c := range components {
		if err := l.Restart(c); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, node := range l.Nodes() {
		if err := l.waitProxy(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

// Components tells the state of all components, in the order of their names.
func (l *Lab) Components() ([]Status, error) {
	var all []Status
	return all, l.call("List", None{}, &all)
}

// LogPath returns the file of a component's log.
func (l *Lab) LogPath(component string) string { return l.paths.log(component) }

func (l *Lab) call(method string, args, reply any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*stopPatience)
	defer cancel()
	return l.paths.call(ctx, method, args, reply)
}

func (l *Lab) run(components ...Component) error {
	for _, c := range components {
		if err := l.call("Run", c, &None{}); err != nil {
			return err
		}
	}
	return nil
}

// exitError says that a component ended which should not have.
type exitError struct {
	component, exit string
}

func (e *exitError) Error() string { return fmt.Sprintf("%s ended: %s", e.component, e.exit) }

// neverStarted is how a component has ended that is known, but has not begun.
const neverStarted = "never started"

// watchExits returns an error when a component ends, and nil when ctx does.
func (l *Lab) watchExits(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		all, err := l.Components()
		if err != nil {
			return err
		}
		for _, status := range all {
			if !status.Running && status.Exit != neverStarted {
				return &exitError{status.Name, status.Exit}
			}
		}
	}
}

// withLog adds to an error the end of the log that likely explains it.
func (l *Lab) withLog(err error) error {
	component := suspect(err)
	if component == "" {
		return err
	}
	data, readErr := os.ReadFile(l.LogPath(component))
	if readErr != nil {
		return err
	}
	return fmt.Errorf("%w\nthe end of the log of %s:\n%s", err, component, lastLines(string(data), 15))
}

func suspect(err error) string {
	var exit *exitError
	var node *nodeError
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return ""
	case errors.As(err, &exit):
		return exit.component
	case errors.As(err, &node):
		return node.node + "/" + Kubelet
	default:
		return APIServer
	}
}
