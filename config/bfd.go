package config

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A BFDProfile is how BFD sessions find out that the other side is gone. It is comparable.
type BFDProfile struct {
	Name string
	// Receive is how often packets may come, Transmit how often they are to go.
	Receive, Transmit time.Duration
	// Multiplier is how many packets must fail to come.
	Multiplier int
	// Passive: nothing is sent until something has come.
	Passive bool
	// MinimumTTL is the lowest TTL of packets of multihop sessions.
	MinimumTTL int
}

// What BFDProfiles have that say nothing.
const (
	defaultBFDInterval   = 300
	defaultBFDMultiplier = 3
	defaultMinimumTTL    = 254
)

func parseBFD(name string, in *v1beta1.BFDProfileSpec) (*BFDProfile, []fault) {
	p := &BFDProfile{Name: name, Passive: in.PassiveMode}
	var faults []fault
	number := func(field string, n, absent, least, most int32) int {
		if n = cmp.Or(n, absent); n < least || n > most {
			faults = append(faults, fault{InvalidProfile, fmt.Sprintf("%s: %d is not between %d and %d", field, n, least, most)})
		}
		return int(n)
	}
	milliseconds := func(field string, n int32) time.Duration {
		return time.Duration(number(field, n, defaultBFDInterval, 10, 60000)) * time.Millisecond
	}
	p.Receive = milliseconds("receiveInterval", in.ReceiveInterval)
	p.Transmit = milliseconds("transmitInterval", in.TransmitInterval)
	p.Multiplier = number("detectMultiplier", in.DetectMultiplier, defaultBFDMultiplier, 2, 255)
	p.MinimumTTL = number("minimumTTL", in.MinimumTTL, defaultMinimumTTL, 1, 254)
	if in.EchoMode {
		faults = append(faults, fault{InvalidProfile, "echoMode: echo mode is not supported"})
	}
	return p, faults
}

// profiles reads the BFDProfiles.
func (s *Snapshot) profiles(all []*v1beta1.BFDProfile) []Problem {
	var problems []Problem
	for _, in := range all {
		p, faults := active(Ref{BFDProfileKind, in.Name}, &in.Spec, in.Status.AcceptedSpec,
			func(spec *v1beta1.BFDProfileSpec) (*BFDProfile, []fault) { return parseBFD(in.Name, spec) })
		if problems = append(problems, faults...); p != nil {
			s.bfd = append(s.bfd, p)
		}
	}
	slices.SortFunc(s.bfd, func(a, b *BFDProfile) int { return cmp.Compare(a.Name, b.Name) })
	return problems
}

// BFDProfile returns the profile of a name, or nil.
func (s *Snapshot) BFDProfile(name string) *BFDProfile {
	i, ok := slices.BinarySearchFunc(s.bfd, name, func(p *BFDProfile, n string) int { return cmp.Compare(p.Name, n) })
	if !ok {
		return nil
	}
	return s.bfd[i]
}
