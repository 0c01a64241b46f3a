package gossip

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Report is what a speaker says of itself to the others. It travels with the news that
// it is alive, and must be short.
type Report struct {
	// Impaired: it cannot do all that it should, so that others do better.
	Impaired bool
	// Links are the names of its usable interfaces, sorted; nil if it does not say.
	Links []string
}

func (r Report) equal(o Report) bool {
	return r.Impaired == o.Impaired && slices.Equal(r.Links, o.Links) && (r.Links == nil) == (o.Links == nil)
}

const (
	version  = "1"
	impaired = "impaired"
	// reportLimit is memberlist's.
	reportLimit = 512
)

// said is a Report as it was said: of two, the one with the greater stamp is the later one.
type said struct {
	Report
	stamp int64
}

// after returns a Report as it is said after another, with the time as its stamp.
func (r Report) after(was said, now time.Time) said { return said{r, max(was.stamp+1, now.UnixNano())} }

// encode writes what is said: a version, words about its state, its interfaces, and the stamp. Names that do not
// fit are left out altogether: then others go by what the API server says of them.
func (w said) encode() []byte {
	fields := []string{version, "", "", strconv.FormatInt(w.stamp, 10)}
	if w.Impaired {
		fields[1] = impaired
	}
	if links := "=" + strings.Join(w.Links, ","); w.Links != nil && len(links)+len(version)+len(impaired)+len(fields[3])+3 <= reportLimit {
		fields[2] = links
	}
	return []byte(strings.Join(fields, ";"))
}

// message writes what a speaker says of itself, with its name before it.
func message(name string, w said) []byte {
	return slices.Concat([]byte{byte(len(name))}, []byte(name), w.encode())
}

// decodeMessage reads a message.
func decodeMessage(b []byte) (name string, w said, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", w, false
	}
	end := 1 + int(b[0])
	return string(b[1:end]), decode(b[end:]), true
}

// decode reads what was said. What it does not understand, a newer version's perhaps, says nothing; older versions have no stamp.
func decode(b []byte) said {
	fields := strings.Split(string(b), ";")
	if len(fields) < 3 || fields[0] != version {
		return said{}
	}
	w := said{Report: Report{Impaired: fields[1] == impaired}}
	if names, ok := strings.CutPrefix(fields[2], "="); ok {
		w.Links = []string{}
		if names != "" {
			w.Links = strings.Split(names, ",")
		}
	}
	if len(fields) > 3 {
		w.stamp, _ = strconv.ParseInt(fields[3], 10, 64)
	}
	return w
}
