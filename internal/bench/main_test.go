//go:build linux

package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSelected(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, only string
		want         []string
		wantErr      bool
	}{
		"Everything": {reason: "nothing asked for is everything", want: names()},
		"Suite":      {reason: "a suite is all that belongs to it", only: "l2", want: namesOf(onLayer2)},
		"Single":     {reason: "measures of several suites can be taken", only: "cable,assign", want: []string{"cable", "assign"}},
		"Unknown":    {reason: "a typing error measures nothing", only: "cable,cabel", wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := selected(tc.only)
			if (err != nil) != tc.wantErr {
				t.Fatalf("%s: error %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got); err == nil && diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestNames: a name means one thing.
func TestNames(t *testing.T) {
	all := names()
	for _, s := range suites {
		if !slices.Equal(s.measures(), []string{s.name}) { // which may be its only measure's
			all = append(all, s.name)
		}
	}
	slices.Sort(all)
	if diff := cmp.Diff(slices.Compact(slices.Clone(all)), all); diff != "" {
		t.Errorf("some names are there twice:\n%s", diff)
	}
}
