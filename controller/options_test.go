package main

import (
	"io"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/version"
)

func TestParse(t *testing.T) {
	env := func(k string) string { return map[string]string{"POD_NAMESPACE": "fairlead-system"}[k] }
	none := func(string) string { return "" }
	for name, tc := range map[string]struct {
		args []string
		env  func(string) string
		err  string
	}{
		"Defaults":    {nil, env, ""},
		"NoNamespace": {nil, none, "--namespace is empty: set it, or POD_NAMESPACE"},
		"Namespace":   {[]string{"--namespace=x"}, none, ""},
		"BadClass":    {[]string{"--load-balancer-class=a/b/c"}, env, `load balancer class "a/b/c": want a name such as fairlead.io/lb or lb`},
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
