package e2e

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// previous is the version that an upgrade comes from, and a rollback goes to: a commit, until there is a release, whose tag it is then.
const previous = "33d30e2"

// source returns the files of the previous version, or where the checkout has no history those of this one.
func (s *story) source(checkout string) string {
	s.Helper()
	archive, err := exec.CommandContext(s.Context(), "git", "-C", checkout, "archive", previous).Output()
	if err != nil {
		s.Logf("the checkout has no commit %s: this version stands in for the previous one", previous)
		return checkout
	}
	dir := s.TempDir()
	tar := exec.CommandContext(s.Context(), "tar", "-x", "-C", dir)
	tar.Stdin = bytes.NewReader(archive)
	if out, err := tar.CombinedOutput(); err != nil {
		s.Fatalf("unpack the previous version: %v\n%s", err, out)
	}
	return dir
}

// previous builds the previous version, gives its images to all nodes, and returns the folder of its manifests.
func (s *story) previous(checkout string) string {
	s.Helper()
	const tag = "previous"
	source, dir := s.source(checkout), s.TempDir()
	for name, user := range map[string]string{"controller": "65532:65532", "speaker": "0:0"} {
		s.buildImage("ghcr.io/fairlead-lb/"+name+":"+tag, source, "fairlead-"+name, "./"+name, user)
	}
	manifests := filepath.Join(dir, "manifests")
	s.must(os.CopyFS(manifests, os.DirFS(filepath.Join(source, "manifests"))))
	kustomization := filepath.Join(manifests, "default", "kustomization.yaml")
	text, err := os.ReadFile(kustomization)
	s.must(err)
	s.must(os.WriteFile(kustomization, []byte(strings.ReplaceAll(string(text), "newTag: dev", "newTag: "+tag)), 0o600))
	return manifests
}

// TestUpgrade: from the previous version, and back to it, and where it is uninstalled with its definitions kept and installed again, no page fails,
// no connection breaks, and no address moves or changes. Who uses an address all the time does not have to ask who has it.
func TestUpgrade(t *testing.T) {
	s := tell(t, shared)
	s.base = lastBase
	s.dual(either)
	checkout, err := filepath.Abs("../..")
	s.must(err)
	manifests := s.previous(checkout)
	after := func(first func(*story), manifests string) func(*story, string) func() {
		return func(s *story, _ string) func() {
			before := s.both()
			s.held(50, func() {
				first(s)
				s.globally("apply", "-k", filepath.Join(manifests, "default"))
				s.must(s.RolledOut(s.Context(), "deployment/controller", "daemonset/speaker"))
			})
			if after := s.both(); strings.Join(before, " ") != strings.Join(after, " ") {
				s.Errorf("the addresses were %v, and are %v", before, after)
			}
			s.assignsAfter()
			return func() {}
		}
	}
	nothing, this := func(*story) {}, filepath.Join(checkout, "manifests")
	s.afterwards("-n", lab.Namespace, "rollout", "status", "daemonset/speaker", "--timeout=90s")
	s.afterwards("apply", "-k", filepath.Join(checkout, "manifests/default"))
	s.undergo(
		disruption{name: "Rollback", reason: "the previous version", stays: true, do: after(nothing, manifests)},
		disruption{name: "Upgrade", reason: "this version", stays: true, do: after(nothing, this)},
	)
	s.Run("Reinstall", func(t *testing.T) {
		s := s.in(t)
		s.settled()
		before := s.announcers()
		var pages []*probe
		for _, a := range s.both() {
			pages = append(pages, s.probe(a, 20*ms)) // which may take a second: all pods start at once
		}
		after((*story).uninstall, this)(s, "")
		for _, p := range pages {
			s.without(p.stop())
		}
		if now := s.announcers(); !maps.Equal(before, now) {
			t.Errorf("announcers were %v, and are %v", before, now)
		}
	})
}

// uninstall removes Fairlead but for its definitions, and waits for longer than a roll-out takes.
func (s *story) uninstall() {
	s.Helper()
	for _, kinds := range []string{"deployment,daemonset,poddisruptionbudget,serviceaccount,role,rolebinding", "clusterrole,clusterrolebinding"} {
		s.kubectl("-n", lab.Namespace, "delete", kinds, "-l", "app.kubernetes.io/name=fairlead")
	}
	s.kubectl("-n", lab.Namespace, "wait", "--for=delete", "pods", "-l", "app.kubernetes.io/name=fairlead", "--timeout=60s")
	time.Sleep(15 * second)
}

// assignsAfter sees that a new Service gets an address, and gives it back.
func (s *story) assignsAfter() {
	s.Helper()
	s.apply(service("late", "", ""))
	s.announcer("late")
	s.kubectl("delete", "service", "late")
}
