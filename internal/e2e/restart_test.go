package e2e

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// Speakers that are restarted in place are missed by nobody: no page fails, and no address moves. (The one that is killed is a
// new pod's, as Kubernetes is slow to start again what was killed before.)
func TestSpeakersRestarted(t *testing.T) {
	s := dual(t, shared, either)
	s.undergo(
		disruption{name: "RolledOut", reason: "an upgrade", stays: true, do: func(s *story, _ string) func() {
			s.held(50, func() {
				s.kubectl("-n", lab.Namespace, "rollout", "restart", "daemonset/speaker")
				s.must(s.RolledOut(s.Context(), "daemonset/speaker"))
			})
			return func() {}
		}},
		disruption{name: "Killed", reason: "a crash", stays: true, do: func(s *story, node string) func() {
			pid, err := measure.SpeakerOn(s.Host(node))
			s.must(err)
			s.must(syscall.Kill(pid, syscall.SIGKILL))
			s.within(20*second, "another process", func() error {
				now, err := measure.SpeakerOn(s.Host(node))
				if err == nil && now == pid {
					return errors.New("it lives")
				}
				return err
			})
			s.must(s.RolledOut(s.Context(), "daemonset/speaker"))
			return func() {}
		}},
		disruption{name: "PodDeleted", reason: "a pod is replaced", stays: true, do: func(s *story, node string) func() {
			s.kubectl("-n", lab.Namespace, "delete", "pod", "--field-selector", "spec.nodeName="+node, "-l", "app.kubernetes.io/component=speaker")
			s.must(s.RolledOut(s.Context(), "daemonset/speaker"))
			return func() {}
		}},
	)
}

// hold opens connections from a host, and uses each every 0.1 s.
func (s *story) hold(from, address string, n int) *measure.Held {
	s.Helper()
	h, err := measure.Hold(s.Context(), n, 100*ms, func(ctx context.Context) (net.Conn, error) {
		return s.Host(from).DialContext(ctx, "tcp", net.JoinHostPort(address, "80"))
	})
	s.must(err)
	return h
}

// held keeps connections open to each address while something is done, and fails if any is lost.
func (s *story) held(n int, do func()) {
	s.Helper()
	var all []*measure.Held
	for _, address := range s.both() {
		all = append(all, s.hold(lab.Client, address, n))
	}
	do()
	for _, h := range all {
		if lost := h.Stop(); len(lost) > 0 {
			s.Errorf("%d of %d connections lost, first: %v", len(lost), n, lost[0])
		}
	}
}
