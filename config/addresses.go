package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"
)

var (
	errNotAddresses = errors.New("is not a CIDR, a range first-last or an address")
	errHostBits     = errors.New("has host bits set")
	errBackwards    = errors.New("ends before it starts")
	errFamilies     = errors.New("mixes IPv4 and IPv6")
	errZone         = errors.New("has a zone")
	errUseless      = errors.New("has addresses that cannot be used: unspecified, loopback, link-local, multicast or broadcast ones")
)

// useless are the addresses that no Service can be reached at (RFC 6890, RFC 5735, RFC 4291): the CRD has the same list.
var useless = func() *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, s := range []string{
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/127", "fe80::/10", "ff00::/8",
	} {
		b.AddPrefix(netip.MustParsePrefix(s))
	}
	set, err := b.IPSet()
	if err != nil {
		panic("config: " + err.Error()) // it is the same each time
	}
	return set
}()

// ParseRange reads one entry of a pool: a CIDR without host bits, a range
// "first-last" with both ends included, or a single address. An IPv4 address
// in IPv6 notation (::ffff:192.0.2.1) is IPv4.
func ParseRange(s string) (netipx.IPRange, error) {
	s = strings.TrimSpace(s)
	if first, last, isRange := strings.Cut(s, "-"); isRange {
		return parseEnds(s, first, last)
	}
	if !strings.Contains(s, "/") {
		return parseEnds(s, s, s)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netipx.IPRange{}, fmt.Errorf("%q %w", s, errNotAddresses)
	}
	if p.Addr().Is4In6() {
		return netipx.IPRange{}, fmt.Errorf("%q %w", s, errFamilies)
	}
	if p != p.Masked() {
		return netipx.IPRange{}, fmt.Errorf("%q %w: write %s", s, errHostBits, p.Masked())
	}
	return netipx.RangeOfPrefix(p), nil
}

func parseEnds(entry, first, last string) (netipx.IPRange, error) {
	from, err := parseAddr(first)
	if err != nil {
		return netipx.IPRange{}, fmt.Errorf("%q %w", entry, err)
	}
	to, err := parseAddr(last)
	if err != nil {
		return netipx.IPRange{}, fmt.Errorf("%q %w", entry, err)
	}
	switch r := netipx.IPRangeFrom(from, to); {
	case FamilyOf(from) != FamilyOf(to):
		return r, fmt.Errorf("%q %w", entry, errFamilies)
	case !r.IsValid():
		return r, fmt.Errorf("%q %w", entry, errBackwards)
	default:
		return r, nil
	}
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return a, errNotAddresses
	}
	if a.Zone() != "" {
		return a, errZone
	}
	return a.Unmap(), nil
}

// parseSet reads the addresses of a pool less those it excludes. What can be
// read is returned beside the errors.
func parseSet(include, exclude []string) (*netipx.IPSet, []error) {
	var b netipx.IPSetBuilder
	var errs []error
	each := func(field string, entries []string, apply func(netipx.IPRange)) {
		for _, e := range entries {
			r, err := ParseRange(e)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", field, err))
				continue
			}
			apply(r)
		}
	}
	each("addresses", include, func(r netipx.IPRange) {
		if useless.OverlapsRange(r) {
			errs = append(errs, fmt.Errorf("addresses: %q %w", rangeString(r), errUseless))
		}
		b.AddRange(r)
	})
	each("exclude", exclude, b.RemoveRange)
	b.RemoveSet(useless)
	b.RemoveSet(useless)
	set, err := b.IPSet()
	if err != nil {
		errs = append(errs, err)
	}
	return set, errs
}
