package ipam

import (
	"flag"
	"os"
	"testing"
)

// TestMain has the model checked by more histories than is usual: each takes half a millisecond.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "2000"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}
