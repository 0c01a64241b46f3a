package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

// TestProtect: with the component protect, pools in use stay, and the token of a speaker that somebody has stolen is worth no more than its
// node. All goes on as before.
func TestProtect(t *testing.T) {
	s := tell(t, shared)
	s.base = lastBase
	s.protected()
}

func (s *story) protected() {
	s.Helper()
	for _, file := range []string{"pools.yaml", "speakers.yaml"} {
		path, err := filepath.Abs("../../manifests/components/protect/" + file)
		s.must(err)
		s.kubectl("apply", "-f", path)
		s.afterwards("delete", "-f", path)
	}
	s.apply(pool("main", "172.30.0.100/32, 172.30.0.102-172.30.0.103") + advertised("") + web(1) + service("web", "fairlead.io/ips: 172.30.0.100", ""))
	node := s.announcer("web") // the speakers write all that they should
	s.served(s.own("172.30.0.100"))

	refused := func(what, why string, args ...string) {
		s.Helper()
		s.within(5*second, what, func() error { // policies need a moment until they are active
			out, err := s.Kubectl(s.Context(), nil, append(args, "--dry-run=server")...)
			if err == nil {
				return errAccepted
			}
			if !strings.Contains(err.Error(), why) {
				s.Fatalf("%s: %v\n%s", what, err, out)
			}
			return nil
		})
	}
	refused("delete a pool", "addresses of this pool are in use: 1", "delete", "ipaddresspool", "main")
	refused("take a range away", "a range of it would be taken away", "patch", "ipaddresspool", "main", "--type=merge", "-p", s.own(`{"spec":{"addresses":["172.30.0.102-172.30.0.103"]}}`))
	refused("exclude more", "more of them would be excluded", "patch", "ipaddresspool", "main", "--type=merge", "-p", s.own(`{"spec":{"exclude":["172.30.0.100/32"]}}`))
	s.kubectl("patch", "ipaddresspool", "main", "--type=merge", "--dry-run=server", "-p", s.own(`{"spec":{"addresses":["172.30.0.100/32","172.30.0.102-172.30.0.103","172.30.0.105/32"]}}`))

	speaker := strings.Fields(s.kubectl("-n", lab.Namespace, "get", "pods", "-l", "app.kubernetes.io/component=speaker", "--field-selector", "spec.nodeName="+node, "-o", "name"))[0]
	stolen := s.stolen("speaker", strings.TrimPrefix(speaker, "pod/"))
	var other string
	for _, n := range s.Nodes() {
		if n != node {
			other = n
		}
	}
	// as patches a status with the stolen token.
	as := func(o client.Object, patch string) error {
		return stolen.Status().Patch(s.Context(), o, client.RawPatch(types.MergePatchType, []byte(s.own(patch))), &client.SubResourcePatchOptions{PatchOptions: client.PatchOptions{DryRun: []string{metav1.DryRunAll}}})
	}
	about := func(node string) client.Object {
		return &v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: node}}
	}
	for what, tc := range map[string]struct {
		object     client.Object
		patch, why string
	}{
		"assign an address":        {s.service("web"), `{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.66"}]}}}`, "does not write the addresses"},
		"speak for the controller": {s.service("web"), `{"status":{"conditions":[]}}`, "writes the conditions"},
		"take a mark away":         {s.service("web"), `{"metadata":{"annotations":{"fairlead.io/allocated-from":null}}}`, "writes the annotations"},
		"ask for an address":       {s.service("web"), `{"metadata":{"annotations":{"fairlead.io/ips":"172.30.0.101"}}}`, "writes the annotations"},
		"relabel":                  {s.service("web"), `{"metadata":{"labels":{"a":"b"}}}`, "does not write labels"},
		"report for another node":  {about(other), `{"status":{"announcedAddresses":7}}`, "a speaker reports of its own node, " + node},
		"report for itself":        {about(node), `{"status":{"announcedAddresses":7}}`, ""},
		"say who announces":        {s.service("web"), `{"metadata":{"annotations":{"fairlead.io/announcers":"172.30.0.100=` + node + `"}}}`, ""},
	} {
		s.within(5*second, what, func() error {
			err := as(tc.object, tc.patch)
			switch {
			case tc.why == "":
				return err
			case err == nil || !strings.Contains(err.Error(), tc.why):
				return fmt.Errorf("got %v, want %q", err, tc.why) //nolint:errorlint // it may be nil
			default:
				return nil
			}
		})
	}
	var all v1beta1.AnnouncementSliceList
	s.must(s.api.List(s.Context(), &all))
	for i := range all.Items {
		err := stolen.Delete(s.Context(), &all.Items[i], client.DryRunAll)
		if own := all.Items[i].Node == node; own && err != nil || !own && (err == nil || !strings.Contains(err.Error(), "a speaker reports of its own node")) {
			s.Errorf("delete the announcements of %s: %v", all.Items[i].Node, err)
		}
	}

	s.kubectl("annotate", "ipaddresspool", "main", "fairlead.io/allow-disruption=true")
	s.kubectl("delete", "ipaddresspool", "main", "--dry-run=server")
}

const errAccepted = text("it was accepted")

type text string

func (t text) Error() string { return string(t) }

// stolen returns a client with the token of a pod of Fairlead's.
func (s *story) stolen(account, pod string) client.Client {
	s.Helper()
	rc, err := s.RESTConfig()
	s.must(err)
	rc = rest.AnonymousClientConfig(rc)
	rc.BearerToken = strings.TrimSpace(s.kubectl("-n", lab.Namespace, "create", "token", account, "--bound-object-kind=Pod", "--bound-object-name="+pod))
	c, err := client.New(rc, client.Options{Scheme: s.api.Scheme()})
	s.must(err)
	return c
}
