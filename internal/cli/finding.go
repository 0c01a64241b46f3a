package cli

import (
	"cmp"
	"slices"
)

// Severity says how bad a Finding is.
type Severity string

// How bad it can be.
const (
	// Error: somebody is not served, or will not be.
	Error Severity = "error"
	// Warning: it works, but not as well as it should, or not for long.
	Warning Severity = "warning"
)

// A Finding is one thing that is wrong.
type Finding struct {
	Severity Severity `json:"severity"`
	// Object is the kind and the name of what it is about, as kubectl takes them.
	Object string `json:"object"`
	// Reason is one word; that of a condition, if there is one.
	Reason string `json:"reason"`
	// Message is for people.
	Message string `json:"message"`
	// Mend is the command that mends it, or shows more; empty where there is none. What is in angle brackets is to be filled in.
	Mend string `json:"mend,omitempty"`
}

// sorted puts the worst first; otherwise the order in which they were found stays.
func sorted(fs []Finding) []Finding {
	rank := map[Severity]int{Error: 0, Warning: 1}
	slices.SortStableFunc(fs, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	return fs
}
