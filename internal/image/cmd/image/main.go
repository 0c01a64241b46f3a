// Command image writes an archive of a container image that holds one static program.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"

	"github.com/fairlead-lb/fairlead/internal/image"
)

func main() {
	var i image.Image
	out := flag.String("o", "", "write the archive to this `file`")
	flag.StringVar(&i.Name, "name", "", "`name` of the image, with a tag")
	flag.StringVar(&i.Program, "program", "", "`path` of a static binary")
	flag.StringVar(&i.Arch, "arch", runtime.GOARCH, "`architecture` of the binary")
	flag.StringVar(&i.User, "user", "65532:65532", "`uid:gid` to run as")
	flag.Parse()
	if err := image.Write(*out, i); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}
