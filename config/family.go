package config

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

// Family is an IP address family.
type Family = v1beta1.IPFamily

// The address families.
const (
	IPv4 = v1beta1.IPv4
	IPv6 = v1beta1.IPv6
)

// FamilyOf returns the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}
