package kube

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// A Claim is what Fairlead reads of an IPClaim.
type Claim struct {
	Families []v1beta1.IPFamily
	IPs      []netip.Addr
	// Shown are the addresses in its status.
	Shown []netip.Addr
}

// ClaimOf reads an IPClaim. What the API server would not have let pass is left out.
func ClaimOf(in *v1beta1.IPClaim) Claim {
	c := Claim{IPs: parseAll(in.Spec.Addresses), Shown: parseAll(in.Status.Addresses)}
	c.Families = append(c.Families, in.Spec.Families...)
	if len(c.Families) == 0 {
		for _, a := range c.IPs {
			c.Families = append(c.Families, familyOf(a))
		}
	}
	if len(c.Families) == 0 {
		c.Families = []v1beta1.IPFamily{v1beta1.IPv4}
	}
	return c
}

func parseAll(in []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range in {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out
}
