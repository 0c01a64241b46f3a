package main

import (
	"io"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/version"
)

func TestParse(t *testing.T) {
	env := func(k string) string {
		return map[string]string{"POD_NAMESPACE": "fairlead-system", "NODE_NAME": "node-1"}[k]
	}
	none := func(string) string { return "" }
	for name, tc := range map[string]struct {
		args []string
		env  func(string) string
		err  string
	}{
		"Defaults":    {nil, env, ""},
		"NoNamespace": {nil, none, "--node-name is empty: set it, or NODE_NAME\n--namespace is empty"},
		"Namespace":   {[]string{"--namespace=x", "--node-name=y"}, none, ""},
		"BadClass":    {[]string{"--load-balancer-class=a/b/c"}, env, `load balancer class "a/b/c": want a name such as fairlead.io/lb or lb`},
		"Delay":       {[]string{"--shutdown-delay=-1s"}, env, "--shutdown-delay -1s: want a time from 0 on"},
		"Extra":       {[]string{"extra"}, env, `unexpected argument "extra"`},
		"Unknown":     {[]string{"--nonsense"}, env, "not defined: -nonsense"},
		"Version":     {[]string{"--version"}, none, version.ErrRequested.Error()},
	} {
		_, err := parse(tc.args, tc.env, io.Discard)
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: error %v, want %q", name, err, tc.err)
		}
	}
}
