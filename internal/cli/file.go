package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// A document is one object of a file.
type document struct {
	// at says where it begins, such as pools.yaml:12.
	at     string
	object runtime.Object
}

// reader decodes objects strictly: a field that does not exist is an error.
type reader struct {
	decoder runtime.Decoder
	// others takes objects of kinds that are not Fairlead's or Kubernetes'; nil to leave them out.
	others func(at string, doc []byte) error
}

func newReader() (*reader, error) {
	scheme, err := kube.NewScheme()
	if err != nil {
		return nil, err
	}
	return &reader{decoder: serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()}, nil
}

// files reads all objects of files, of all files of folders that are YAML or JSON, or, for "-", of what comes in.
// What cannot be read is reported at its place, with all else that cannot.
func (r *reader) files(paths []string, in io.Reader) ([]document, error) {
	var out []document
	var errs []error
	read := func(name string, text []byte) {
		docs, err := r.read(name, text)
		out, errs = append(out, docs...), append(errs, err)
	}
	for _, path := range paths {
		if path == "-" {
			text, err := io.ReadAll(in)
			if errs = append(errs, err); err == nil {
				read("stdin", text)
			}
			continue
		}
		errs = append(errs, filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || name != path && !isManifest(name) {
				return err
			}
			text, err := os.ReadFile(name) //nolint:gosec // it is the file that the user names
			if err == nil {
				read(name, text)
			}
			return err
		}))
	}
	return out, errors.Join(errs...)
}

func isManifest(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	default:
		return false
	}
}

// read reads the documents of one file, and of the lists in it.
func (r *reader) read(name string, text []byte) ([]document, error) {
	var out []document
	var errs []error
	line := 1
	split := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		doc, err := split.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
			return out, errors.Join(errs...)
		}
		at := fmt.Sprintf("%s:%d", name, line+blank(doc))
		line += bytes.Count(doc, []byte("\n")) + 1 // and the line that separates
		if len(bytes.TrimSpace(withoutComments(doc))) == 0 {
			continue
		}
		docs, err := r.decode(at, doc)
		out, errs = append(out, docs...), append(errs, err)
	}
}

// blank counts the lines before the first that says something.
func blank(doc []byte) (n int) {
	for line := range strings.Lines(string(doc)) {
		if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "#") {
			return n
		}
		n++
	}
	return 0
}

func withoutComments(doc []byte) []byte {
	var out []byte
	for line := range bytes.Lines(doc) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			out = append(out, line...)
		}
	}
	return out
}

func (r *reader) decode(at string, doc []byte) ([]document, error) {
	doc, err := yaml.YAMLToJSONStrict(doc) // the decoder takes what begins with a brace for JSON
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	o, kind, err := r.decoder.Decode(doc, nil, nil)
	switch {
	case runtime.IsNotRegisteredError(err) && r.others != nil:
		return nil, r.others(at, doc)
	case runtime.IsNotRegisteredError(err):
		return nil, nil
	case err != nil && kind != nil:
		return nil, fmt.Errorf("%s: %s: %w", at, kind.Kind, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	l, list := o.(*corev1.List)
	if !list {
		return []document{{at, o}}, nil
	}
	var out []document
	var errs []error
	for _, item := range l.Items {
		docs, err := r.decode(at, item.Raw)
		out, errs = append(out, docs...), append(errs, err)
	}
	return out, errors.Join(errs...)
}
