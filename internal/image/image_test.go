package image

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// The same program makes the same archive, one that says how to run it.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "hello")
	if err := os.WriteFile(program, []byte("\x7fELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := Image{Name: "example.com/hello:dev", Program: program, Arch: "arm64", User: "65532:65532"}
	var archives [2][]byte
	for n := range archives {
		path := filepath.Join(dir, "out.tar")
		if err := Write(path, i); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[n], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of one program differ")
	}
	img, err := tarball.ImageFromPath(filepath.Join(dir, "out.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.Architecture != "arm64" || c.OS != "linux" || len(c.Config.Entrypoint) != 1 || c.Config.Entrypoint[0] != "/hello" || c.Config.User != "65532:65532" {
		t.Errorf("config is %+v", c)
	}
	if err := Write(filepath.Join(dir, "bad.tar"), Image{Name: "Not A Name", Program: program}); err == nil {
		t.Error("a bad name was accepted")
	}
}
