package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What a text may have at most.
const (
	maxWords   = 30
	maxColumns = 120
)

// prose returns the paragraphs of a page, the items of its lists, and the cells of its tables: each as one line. Code is left out.
func prose(page string) (out []string) {
	var paragraph []string
	end := func() {
		if len(paragraph) > 0 {
			out = append(out, strings.Join(paragraph, " "))
		}
		paragraph = nil
	}
	code, item := false, regexp.MustCompile(`^\s*([-*]|\d+\.) `)
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "```"):
			code = !code
			end()
		case code, trimmed == "", strings.HasPrefix(line, "#"), strings.HasPrefix(line, "    ") && len(paragraph) == 0:
			end()
		case strings.HasPrefix(trimmed, "|"):
			end()
			out = append(out, strings.Split(strings.Trim(trimmed, "|"), "|")...)
		default:
			if item.MatchString(line) {
				end()
			}
			paragraph = append(paragraph, strings.TrimSpace(item.ReplaceAllString(line, "")))
		}
	}
	end()
	return out
}

var (
	sentenceEnd = regexp.MustCompile(`[.!?:;]\s+`)
	inlineCode  = regexp.MustCompile("`[^`]*`")
)

// TestSentences: sentences and lines are short enough to be read once.
func TestSentences(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(pages, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md") {
		text := string(read(t, file))
		for _, p := range prose(text) {
			for _, s := range sentenceEnd.Split(strings.ReplaceAll(p, "*", ""), -1) {
				if n := len(strings.Fields(inlineCode.ReplaceAllString(s, "X"))); n > maxWords {
					t.Errorf("%s: a sentence of %d words: %s", file, n, s)
				}
			}
		}
		code := false
		for line := range strings.Lines(text) {
			code = code != strings.HasPrefix(line, "```")
			if c := len([]rune(strings.TrimRight(line, "\n"))); c > maxColumns && !code && !strings.HasPrefix(line, "    ") && !strings.HasPrefix(strings.TrimSpace(line), "|") {
				t.Errorf("%s: a line of %d columns: %s", file, c, line)
			}
		}
	}
}

// obscure are words that an engineer would have to translate, and the field's own in their place.
var obscure = map[string]string{
	`strangers?`:                  "conflicting host, other host",
	`anew`:                        "again",
	`in force`:                    "active",
	`doubtful`:                    "degraded",
	`ordeals?`:                    "disruption",
	`sieves?`:                     "filter",
	`(is|are|was|were|be) told`:   "is reported, is announced, gets",
	`word of mouth`:               "gossip",
	`foreign (host|claim)s?`:      "conflicting host",
	`(claims|claim) of addresses`: "gratuitous ARP",
}

// TestWords: pages, code and custom resource definitions speak the language of the field.
func TestWords(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		file := filepath.ToSlash(strings.TrimPrefix(path, "../"))
		switch {
		case err != nil:
			return err
		// What was built, and decisions, which are left as they were written.
		case e.IsDir() && slices.Contains([]string{".git", "build", "docs/adr"}, file):
			return filepath.SkipDir
		// Tests may say what they like, and links lead to what is read in its place.
		case !e.Type().IsRegular() || strings.HasSuffix(file, "_test.go") || !slices.Contains([]string{".go", ".md", ".yaml"}, filepath.Ext(file)):
			return nil
		}
		files++
		text := read(t, path)
		for word, instead := range obscure {
			for _, found := range regexp.MustCompile(`(?i)[^\n]*\b`+word+`\b[^\n]*`).FindAll(text, -1) {
				t.Errorf("%s: say %q: %s", file, instead, found)
			}
		}
		return nil
	})
	if err != nil || files < 300 {
		t.Errorf("%d files are read: %v", files, err)
	}
}
