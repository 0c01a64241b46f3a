package config

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

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
