package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A Community is a standard BGP community (RFC 1997).
type Community uint32

// String returns the usual form, such as 65000:1.
func (c Community) String() string { return fmt.Sprintf("%d:%d", c>>16, c&0xffff) }

// A LargeCommunity is a large BGP community (RFC 8092).
type LargeCommunity [3]uint32

// String returns the form large:65000:1:2.
func (c LargeCommunity) String() string { return fmt.Sprintf("large:%d:%d:%d", c[0], c[1], c[2]) }

// Compare orders large communities by their numbers.
func (c LargeCommunity) Compare(o LargeCommunity) int { return slices.Compare(c[:], o[:]) }

// wellKnown are the communities that have a name by themselves (IANA, "BGP Well-known Communities"). The CRDs have the same list.
var wellKnown = map[string]Community{
	"graceful-shutdown":   0xffff0000, // RFC 8326
	"accept-own":          0xffff0001, // RFC 7611
	"no-llgr":             0xffff0007, // RFC 9494
	"blackhole":           0xffff029a, // RFC 7999
	"no-export":           0xffffff01, // RFC 1997
	"no-advertise":        0xffffff02, // RFC 1997
	"no-export-subconfed": 0xffffff03, // RFC 1997
	"no-peer":             0xffffff04, // RFC 3765
}

var errCommunity = errors.New("is not a community such as 65000:1 or large:65000:1:2")

// communities are some of both sorts.
type communities struct {
	standard []Community
	large    []LargeCommunity
}

// add reads a community in numbers.
func (c *communities) add(s string) error {
	rest, large := strings.CutPrefix(s, "large:")
	want, bits := 2, 16
	if large {
		want, bits = 3, 32
	}
	parts := strings.Split(rest, ":")
	if len(parts) != want {
		return fmt.Errorf("%q %w", s, errCommunity)
	}
	var n LargeCommunity
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, bits)
		if err != nil {
			return fmt.Errorf("%q %w: %q is not a number of %d bits", s, errCommunity, part, bits)
		}
		n[i] = uint32(v)
	}
	if large {
		c.large = append(c.large, n)
	} else {
		c.standard = append(c.standard, Community(n[0]<<16|n[1]))
	}
	return nil
}

// normal sorts what was read, and has each once.
func (c *communities) normal() {
	slices.Sort(c.standard)
	c.standard = slices.Compact(c.standard)
	slices.SortFunc(c.large, LargeCommunity.Compare)
	c.large = slices.Compact(c.large)
}

// define reads the Communities, the oldest first.
func (s *Snapshot) define(all []*v1beta1.Community) []Problem {
	s.aliases = map[string]string{}
	owner := map[string]string{}
	var problems []Problem
	for _, in := range all {
		ref := Ref{CommunityKind, in.Name}
		spec, faults := active(ref, &in.Spec, in.Status.AcceptedSpec, checkAliases)
		problems = append(problems, faults...)
		if spec == nil {
			continue
		}
		for _, a := range spec.Communities {
			if first, taken := owner[a.Name]; taken {
				problems = append(problems, Problem{ref, DuplicateAlias,
					fmt.Sprintf("alias %s is defined by Community %s, which is older; the rest is active", a.Name, first)})
				continue
			}
			owner[a.Name], s.aliases[a.Name] = in.Name, a.Value
		}
	}
	return problems
}

// checkAliases returns what is wrong with aliases by themselves.
func checkAliases(in *v1beta1.CommunitySpec) (*v1beta1.CommunitySpec, []fault) {
	var faults []fault
	seen := map[string]bool{}
	for _, a := range in.Communities {
		if err := new(communities).add(a.Value); err != nil {
			faults = append(faults, fault{InvalidCommunity, fmt.Sprintf("alias %s: %s", a.Name, err)})
		}
		if _, taken := wellKnown[a.Name]; taken || a.Name == "" || strings.Contains(a.Name, ":") {
			faults = append(faults, fault{InvalidCommunity, fmt.Sprintf("alias %q: the name is that of a well-known community, or cannot be one", a.Name)})
		}
		if seen[a.Name] {
			faults = append(faults, fault{DuplicateAlias, fmt.Sprintf("alias %s is defined twice", a.Name)})
		}
		seen[a.Name] = true
	}
	return in, faults
}

// communitiesOf reads the communities of an advertisement.
func (s *Snapshot) communitiesOf(names []string) (communities, []fault) {
	var c communities
	var faults []fault
	for _, n := range names {
		value, alias := s.aliases[n]
		known, is := wellKnown[n]
		switch {
		case is:
			c.standard = append(c.standard, known)
			continue
		case !alias && !strings.Contains(n, ":"):
			faults = append(faults, fault{CommunityNotFound, fmt.Sprintf("communities: no Community defines %q, and it is not a well-known name", n)})
			continue
		case !alias:
			value = n
		}
		if err := c.add(value); err != nil {
			faults = append(faults, fault{InvalidCommunity, fmt.Sprintf("communities: %s", err)})
		}
	}
	c.normal()
	return c, faults
}

// Spell returns communities with values in place of the aliases that are defined now.
func (s *Snapshot) Spell(names []string) []string {
	out := slices.Clone(names)
	for i, n := range out {
		if value, alias := s.aliases[n]; alias {
			out[i] = value
		}
	}
	slices.Sort(out) // two aliases may mean the same: the list is a set
	return slices.Compact(out)
}
