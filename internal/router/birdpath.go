package router

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ParseBIRD reads what birdc prints for `show route PREFIX all`. A prefix that the router does not have has no paths.
func ParseBIRD(text string) ([]Path, error) {
	var all []Path
	for line := range strings.Lines(text) {
		if m := birdHead.FindStringSubmatch(line); m != nil {
			from, err := netip.ParseAddr(cmp.Or(m[1], "::"))
			if err != nil {
				return nil, fmt.Errorf("read BIRD's neighbour: %w", err)
			}
			all = append(all, Path{From: from, Best: m[2] != ""})
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || !strings.HasPrefix(name, "BGP.") || len(all) == 0 {
			continue
		}
		if err := all[len(all)-1].note(strings.TrimPrefix(name, "BGP."), value); err != nil {
			return nil, fmt.Errorf("read BIRD's %s %q: %w", name, value, err)
		}
	}
	for i := range all {
		if all[i].From.IsUnspecified() { // BIRD does not name it where it is the next hop
			all[i].From = all[i].NextHop
		}
	}
	sortPaths(all)
	return all, nil
}

// birdHead is the first line of a path: who it is from if that is not its next hop, and whether it is the best.
var birdHead = regexp.MustCompile(`\sunicast \[\S+ \S+(?: from ([^\]]+))?\] (\* )?\(\d+\)`)

// note takes up one attribute.
func (p *Path) note(name, value string) (err error) {
	switch name {
	case "as_path":
		p.ASPath, err = numbers(strings.Fields(value))
	case "next_hop":
		hop, _, _ := strings.Cut(strings.TrimPrefix(value, ":: "), " ") // the global one, or :: and the link-local one (RFC 2545)
		p.NextHop, err = netip.ParseAddr(hop)
	case "med":
		p.MED, err = number(value)
	case "local_pref":
		p.LocalPref, err = number(value)
	case "community":
		p.Communities = birdLists(value)
		slices.Sort(p.Communities)
	case "large_community":
		p.LargeCommunities = birdLists(value)
	case "ext_community":
		if m := birdBandwidth.FindStringSubmatch(value); m != nil {
			var bits uint32
			bits, err = number(m[1])
			p.LinkBandwidth = math.Float32frombits(bits)
		}
	}
	return err
}

// birdBandwidth is how BIRD shows a community that it does not know: two bytes of AS number, four of a float.
var birdBandwidth = regexp.MustCompile(`\(unknown 0x4(?:004)?, \d+, (\d+)\)`)

var birdList = regexp.MustCompile(`\(([^)]*)\)`)

// birdLists writes (64512,1) and (64512, 1, 2) with colons.
func birdLists(value string) (out []string) {
	for _, m := range birdList.FindAllStringSubmatch(value, -1) {
		out = append(out, strings.Join(strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' }), ":"))
	}
	return out
}

func numbers(fields []string) (out []uint32, err error) {
	for _, f := range fields {
		n, err := number(f)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}
