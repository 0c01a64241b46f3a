//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// eventually calls f until it succeeds, and returns its last error when the time is over.
func eventually(ctx context.Context, what string, f func(context.Context) error) error {
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("%s: %w", what, context.Cause(ctx)) // what it waited for is not to blame
			}
			return fmt.Errorf("%s: %w (%w)", what, last, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// createNodes makes the Node objects before their kubelets come, with the pod networks that they have.
func (l *Lab) createNodes(ctx context.Context, client kubernetes.Interface) error {
	for n := 1; n <= l.options.Nodes; n++ {
		node := nodeObject(n)
		err := eventually(ctx, "create node "+node.Name, func(ctx context.Context) error {
			_, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func nodeObject(n int) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: NodeName(n)}}
	for _, cidr := range PodCIDRs(n) {
		node.Spec.PodCIDRs = append(node.Spec.PodCIDRs, cidr.String())
	}
	node.Spec.PodCIDR = node.Spec.PodCIDRs[0]
	return node
}

// waitReady waits until pods can be made and all nodes take them.
func (l *Lab) waitReady(ctx context.Context, client kubernetes.Interface) error {
	err := eventually(ctx, "wait for nodes", func(ctx context.Context) error {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		return allReady(nodes.Items, l.options.Nodes)
	})
	if err != nil {
		return err
	}
	err = eventually(ctx, "wait for the default service account", func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	if err != nil {
		return err
	}
	for _, node := range l.Nodes() {
		if err := l.waitProxy(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

func allReady(nodes []corev1.Node, want int) error {
	var problems []error
	for _, node := range nodes {
		if problem := notReady(node); problem != "" {
			problems = append(problems, &nodeError{node.Name, problem})
		}
	}
	if len(nodes) < want {
		problems = append(problems, fmt.Errorf("%d of %d nodes", len(nodes), want))
	}
	return errors.Join(problems...)
}

// nodeError says why a node is not ready.
type nodeError struct {
	node, problem string
}

func (e *nodeError) Error() string { return e.node + ": " + e.problem }

// notReady returns what is wrong with a node, or nothing. The taint goes after the condition comes.
func notReady(node corev1.Node) string {
	for _, condition := range node.Status.Conditions {
		if condition.Type != corev1.NodeReady {
			continue
		}
		if condition.Status != corev1.ConditionTrue {
			return condition.Message
		}
		for _, taint := range node.Spec.Taints {
			if taint.Key == corev1.TaintNodeNotReady {
				return "still tainted"
			}
		}
		return ""
	}
	return "its kubelet did not report yet"
}

// waitProxy waits until a node's kube-proxy has written its rules for the API server's own Service.
func (l *Lab) waitProxy(ctx context.Context, node string) error {
	api := netip.AddrPortFrom(ServicesV4.Addr().Next(), 443).String()
	err := eventually(ctx, "reach the API server by its Service", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		conn, err := l.Host(node).DialContext(ctx, "tcp", api)
		if err != nil {
			return &nodeError{node, err.Error()}
		}
		return conn.Close()
	})
	return err
}

// waitSocket waits until something answers on a Unix socket.
func waitSocket(ctx context.Context, path string) error {
	return eventually(ctx, "reach "+path, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}
