package config

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fault is what is wrong with an object that is being read.
type fault struct {
	reason  Reason
	message string
}

// problemsOf returns the problems of an object that has these faults.
func problemsOf(ref Ref, faults []fault) []Problem {
	var out []Problem
	for _, f := range faults {
		out = append(out, Problem{ref, f.reason, f.message})
	}
	return out
}

// active reads a spec or, where that has faults, the one that was last accepted; nil where neither can be active.
func active[S, T any](ref Ref, spec, accepted *S, read func(*S) (*T, []fault)) (*T, []Problem) {
	now, faults := read(spec)
	problems := problemsOf(ref, faults)
	switch {
	case len(problems) == 0:
		return now, nil
	case accepted == nil:
		return nil, problems
	}
	if former, faults := read(accepted); len(faults) == 0 {
		return former, noteFormer(problems)
	}
	return nil, problems
}

// noteFormer has problems say that the object stays active as it was last accepted.
func noteFormer(problems []Problem) []Problem {
	last := &problems[len(problems)-1]
	last.Message += "; until that is corrected, what was last accepted (status.acceptedSpec) stays active"
	return problems
}

// object is a pointer to an object that operators write.
type object[T any] interface {
	*T
	metav1.Object
	DeepCopy() *T
}

// byAge returns copies of objects, the oldest first; those of one age by name.
func byAge[T any, O object[T]](in []T) []O {
	out := make([]O, len(in))
	for i := range in {
		out[i] = O(&in[i]).DeepCopy()
	}
	slices.SortFunc(out, func(a, b O) int {
		x, y := a.GetCreationTimestamp(), b.GetCreationTimestamp()
		return cmp.Or(x.Compare(y.Time), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}
