package gossip

import (
	"slices"
	"strings"
)

// A Word is what a speaker says of itself to the others. It travels with the news that
// it is alive, and must be short.
type Word struct {
	// Impaired: it cannot do all that it should, so that others do better.
	Impaired bool
	// Links are the names of its usable interfaces, sorted; nil if it does not say.
	Links []string
}

func (w Word) equal(o Word) bool {
	return w.Impaired == o.Impaired && slices.Equal(w.Links, o.Links) && (w.Links == nil) == (o.Links == nil)
}

const (
	version  = "1"
	impaired = "impaired"
	// wordLimit is memberlist's.
	wordLimit = 512
)

// encode writes a Word: a version, words about its state, and its interfaces. Names that do not
// fit are left out altogether: then others go by what the API server says of them.
func (w Word) encode() []byte {
	fields := []string{version, "", ""}
	if w.Impaired {
		fields[1] = impaired
	}
	if links := "=" + strings.Join(w.Links, ","); w.Links != nil && len(links)+len(version)+len(impaired)+2 <= wordLimit {
		fields[2] = links
	}
	return []byte(strings.Join(fields, ";"))
}

// decode reads a Word. What it does not understand, a newer version's perhaps, says nothing.
func decode(b []byte) Word {
	fields := strings.Split(string(b), ";")
	if len(fields) < 3 || fields[0] != version {
		return Word{}
	}
	w := Word{Impaired: fields[1] == impaired}
	if names, ok := strings.CutPrefix(fields[2], "="); ok {
		w.Links = []string{}
		if names != "" {
			w.Links = strings.Split(names, ",")
		}
	}
	return w
}
