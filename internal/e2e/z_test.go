package e2e

import (
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// After all other stories, as this file is the last one, no speaker has ended but those that were killed. (A
// controller that cannot renew its lease ends, and is started again.)
func TestZNoCrash(t *testing.T) {
	if skipped != "" {
		t.Skip(skipped)
	}
	out, err := shared.Kubectl(t.Context(), nil, "-n", lab.Namespace, "get", "pods", "-l", "app.kubernetes.io/component=speaker", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].lastState.terminated.exitCode}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if _, code, _ := strings.Cut(strings.TrimSpace(line), " "); code != "" && code != "137" {
			t.Errorf("ended with exit code %s", line)
		}
	}
}
