package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"sigs.k8s.io/yaml"
)

// columns is how wide a text may be; tables and commands may be wider.
const columns = 80

// A report can be printed for people. As JSON or YAML, its fields are what they are.
type report interface{ write(w io.Writer) error }

// print prints a report in a format.
func output(w io.Writer, format string, r report) error {
	switch format {
	case "":
		return r.write(w)
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(r)
	case "yaml":
		text, err := yaml.Marshal(r)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	default:
		return fmt.Errorf("%w: --output %q: want json or yaml", errUsage, format)
	}
}

// A printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// hanging prints a text after a heading; its further lines are indented as far.
func (p *printer) hanging(heading, text string) {
	indent := len([]rune(heading))
	var line string
	for word := range strings.FieldsSeq(text) {
		if line != "" && indent+len(line)+1+len(word) > columns {
			p.printf("%s%s\n", heading, line)
			heading, line = strings.Repeat(" ", indent), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.printf("%s\n", strings.TrimRight(heading+line, " "))
}

// table prints rows in columns, under a heading.
func (p *printer) table(heading string, rows [][]string) {
	if p.err != nil {
		return
	}
	t := tabwriter.NewWriter(p.w, 0, 8, 3, ' ', 0)
	for _, row := range append([][]string{strings.Fields(heading)}, rows...) {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		if _, p.err = fmt.Fprintln(t, strings.Join(row, "\t")); p.err != nil {
			return
		}
	}
	p.err = t.Flush()
}
