package config

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// selectors is a list of label selectors of which one match is enough.
type selectors []labels.Selector

func parseSelectors(field string, in []v1beta1.LabelSelector) (selectors, error) {
	out := make(selectors, 0, len(in))
	for i := range in {
		s, err := metav1.LabelSelectorAsSelector(plain(&in[i]))
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// plain returns a selector as Kubernetes' libraries have it.
func plain(in *v1beta1.LabelSelector) *metav1.LabelSelector {
	out := &metav1.LabelSelector{MatchLabels: in.MatchLabels}
	for _, e := range in.MatchExpressions {
		out.MatchExpressions = append(out.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: e.Key, Operator: metav1.LabelSelectorOperator(e.Operator), Values: e.Values,
		})
	}
	return out
}

// any reports whether one of the selectors matches.
func (ss selectors) any(l map[string]string) bool {
	for _, s := range ss {
		if s.Matches(labels.Set(l)) {
			return true
		}
	}
	return false
}

// admit is any, but an empty list admits everything.
func (ss selectors) admit(l map[string]string) bool {
	return len(ss) == 0 || ss.any(l)
}

// disjoint reports whether it is certain that nothing matches two lists of selectors both, of which an empty one admits everything.
func disjoint(a, b selectors) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	for _, x := range a {
		for _, y := range b {
			if !exclude(x, y) {
				return false
			}
		}
	}
	return true
}

// exclude reports whether two selectors require of one label what cannot be true at once.
func exclude(a, b labels.Selector) bool {
	of, _ := a.Requirements()
	with, _ := b.Requirements()
	for _, x := range of {
		for _, y := range with {
			if x.Key() == y.Key() && (contradict(x, y) || contradict(y, x)) {
				return true
			}
		}
	}
	return false
}

// contradict reports whether no value of a label, nor its absence, meets both requirements; asked in both orders, it finds all such.
func contradict(a, b labels.Requirement) bool {
	switch {
	case b.Operator() == selection.DoesNotExist:
		return positive(a) || a.Operator() == selection.Exists
	case !positive(a):
		return false
	case positive(b):
		return !sets.New(a.ValuesUnsorted()...).HasAny(b.ValuesUnsorted()...)
	case b.Operator() == selection.NotIn:
		return sets.New(b.ValuesUnsorted()...).HasAll(a.ValuesUnsorted()...)
	default:
		return false
	}
}

// positive reports whether a requirement lists the values that a label may have.
func positive(r labels.Requirement) bool {
	return r.Operator() == selection.In || r.Operator() == selection.Equals || r.Operator() == selection.DoubleEquals
}
