package strictarp

import (
	"io/fs"
	"maps"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// files are settings as the kernel shows them.
func files(link, ignore, announce string) fstest.MapFS {
	return fstest.MapFS{
		link + "/arp_ignore":   {Data: []byte(ignore + "\n")},
		link + "/arp_announce": {Data: []byte(announce + "\n")},
	}
}

func join(all ...fstest.MapFS) fstest.MapFS {
	out := fstest.MapFS{}
	for _, f := range all {
		maps.Copy(out, f)
	}
	return out
}

func TestLenient(t *testing.T) {
	lax, strict := files("all", "0", "0"), files("all", "1", "2")
	cases := map[string]struct {
		reason string
		root   fs.FS
		want   []string
		err    bool
	}{
		"Default":      {"a kernel answers for all addresses of its node", join(lax, files("eth1", "0", "0"), files("eth0", "0", "0")), []string{"eth0", "eth1"}, false},
		"All":          {"as kube-proxy restricts it", join(strict, files("eth0", "0", "0"), files("eth1", "0", "0")), nil, false},
		"One":          {"an interface can be restricted alone", join(lax, files("eth0", "1", "2"), files("eth1", "0", "0")), []string{"eth1"}, false},
		"Greater":      {"the greater value is active", join(files("all", "1", "0"), files("eth0", "0", "2"), files("eth1", "2", "1")), []string{"eth1"}, false},
		"AnswersOnly":  {"who asks for its own purposes with such an address tells a wrong MAC too", join(files("all", "1", "1"), files("eth0", "1", "0")), []string{"eth0"}, false},
		"AnnounceOnly": {"restricting what is told is not enough", join(files("all", "0", "2"), files("eth0", "0", "2")), []string{"eth0"}, false},
		"Subnet":       {"answering askers of the same subnet only is stricter", join(files("all", "2", "2"), files("eth0", "1", "0")), nil, false},
		"Silent":       {"and not answering at all is strictest", join(lax, files("eth0", "8", "2")), nil, false},
		"Scope":        {"addresses of kube-proxy are of global scope, and answered for", join(files("all", "3", "2"), files("eth0", "1", "2")), []string{"eth0"}, false},
		"Gone":         {"an interface that is not there answers nobody", strict, nil, false},
		"Unreadable":   {"nothing is made of what cannot be read", fstest.MapFS{}, nil, true},
		"Nonsense":     {"or is no number", join(strict, files("eth0", "", "2")), nil, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Lenient(tc.root, []string{"eth1", "eth0"})
			if (err != nil) != tc.err {
				t.Fatalf("%s: error %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
