//go:build linux

package envtest

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// coverage has, by the name of a pool, all specs that may be active of it. While pools overlap one of them is refused, and what was
// last accepted of it is active instead (ADR 16): only the controller knows what that is.
type coverage map[string][]spec

// spec is the addresses of a pool, and whether any can be assigned: a pool without is refused.
type spec struct {
	members map[netip.Addr]bool
	usable  bool
}

// edit notes that a pool has another spec, or is deleted.
func (c coverage) edit(name string, p *v1beta1.IPAddressPool) {
	if p == nil {
		delete(c, name)
		return
	}
	s := spec{members: membersOf(p)}
	for a := range s.members {
		s.usable = s.usable || assignable(p, a)
	}
	c[name] = append(c[name], s)
}

// doubtful reports whether a pool with one of these specs may be refused.
func (c coverage) doubtful(name string, specs []spec) bool {
	for _, s := range specs {
		if !s.usable {
			return true
		}
		for other, theirs := range c {
			for _, o := range theirs {
				for a := range o.members {
					if other != name && s.members[a] {
						return true
					}
				}
			}
		}
	}
	return false
}

// certain returns the addresses that are in a pool whichever of the specs are active.
func (c coverage) certain() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for name, specs := range c {
		if c.doubtful(name, specs) {
			continue
		}
		for a := range specs[0].members {
			in := true
			for _, s := range specs {
				in = in && s.members[a]
			}
			if in {
				out[a] = true
			}
		}
	}
	return out
}

// rest notes that the controller has judged everything: the latest spec is active of what cannot be refused.
func (c coverage) rest() {
	for name, specs := range c {
		if latest := specs[len(specs)-1:]; !c.doubtful(name, latest) {
			c[name] = latest
		}
	}
}
