package measure

import (
	"cmp"
	"errors"
	"slices"
	"syscall"
	"time"
)

// An Attempt is one try to reach something.
type Attempt struct {
	// At is when it began, since the probe did.
	At time.Duration
	// Took is how long it was until it succeeded or failed.
	Took time.Duration
	Err  error
}

// Cut reports whether a connection was there and was reset: what becomes of one that is under way while an address moves to
// another node, which knows nothing of it (kube-proxy has no state for it there).
func (a Attempt) Cut() bool { return errors.Is(a.Err, syscall.ECONNRESET) }

func (a Attempt) end() time.Duration { return a.At + a.Took }

// Attempts are those of one probe, in the order of their begin.
type Attempts []Attempt

// Failed returns those that failed.
func (as Attempts) Failed() Attempts {
	var out Attempts
	for _, a := range as {
		if a.Err != nil {
			out = append(out, a)
		}
	}
	return out
}

// Gap returns the longest time without a success: what a client has to bear that tries again and again. It is never less
// than the time between two attempts. A success counts when it is there: one that was begun early and came late hides
// nothing.
func (as Attempts) Gap() time.Duration {
	if len(as) == 0 {
		return 0
	}
	ends := []time.Duration{0}
	for _, a := range as {
		if a.Err == nil {
			ends = append(ends, a.end())
		}
	}
	slices.Sort(ends)
	// After the last success there may have been attempts for a while.
	gap := as[len(as)-1].At - ends[len(ends)-1]
	for i := range ends[1:] {
		gap = max(gap, ends[i+1]-ends[i])
	}
	return gap
}

// Trouble returns how long some failed, from the begin of the first to the begin of the last. Where several ways lead to an
// address and one is lost, others go on, so that there is no gap; but who happened on the lost one was not served.
func (as Attempts) Trouble() time.Duration {
	failed := as.Failed()
	if len(failed) == 0 {
		return 0
	}
	return failed[len(failed)-1].At - failed[0].At
}

// Quantile returns the value below which the part q of all lies: 0.5 is the median, 1 the greatest.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	var none T
	if len(values) == 0 {
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
