package router

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
)

// frrPath is a path in FRR's JSON, as far as it is read.
type frrPath struct {
	ASPath struct {
		Segments []struct {
			List []uint32 `json:"list"`
		} `json:"segments"`
	} `json:"aspath"`
	MED       uint32 `json:"metric"`
	LocalPref uint32 `json:"locPrf"`
	Valid     bool   `json:"valid"`
	Stale     bool   `json:"stale"`
	Best      struct {
		Overall bool `json:"overall"`
	} `json:"bestpath"`
	Communities struct {
		List []string `json:"list"`
	} `json:"community"`
	LargeCommunities struct {
		List []string `json:"list"`
	} `json:"largeCommunity"`
	ExtendedCommunities struct {
		Text string `json:"string"`
	} `json:"extendedCommunity"`
	NextHops []struct {
		IP    netip.Addr `json:"ip"`
		Scope string     `json:"scope"`
	} `json:"nexthops"`
	Peer struct {
		ID string `json:"peerId"`
	} `json:"peer"`
}

// ParseFRR reads what vtysh prints for `show bgp ipv4 PREFIX json`, or ipv6. A prefix that the router does not have has no paths.
func ParseFRR(text []byte) ([]Path, error) {
	var table struct {
		Paths []frrPath `json:"paths"`
	}
	if err := json.Unmarshal(text, &table); err != nil {
		return nil, fmt.Errorf("read FRR's paths: %w", err)
	}
	var all []Path
	for _, p := range table.Paths {
		path, err := p.path()
		if err != nil {
			return nil, fmt.Errorf("read FRR's paths: %w", err)
		}
		all = append(all, path)
	}
	sortPaths(all)
	return all, nil
}

func (p frrPath) path() (Path, error) {
	out := Path{
		Best: p.Best.Overall, Stale: p.Stale, MED: p.MED, LocalPref: p.LocalPref, LargeCommunities: p.LargeCommunities.List,
	}
	var err error
	if out.From, err = netip.ParseAddr(p.Peer.ID); err != nil {
		return out, fmt.Errorf("neighbour: %w", err)
	}
	for _, hop := range p.NextHops {
		if hop.Scope != "link-local" || !out.NextHop.IsValid() {
			out.NextHop = hop.IP
		}
	}
	for _, s := range p.ASPath.Segments {
		out.ASPath = append(out.ASPath, s.List...)
	}
	for _, c := range p.Communities.List {
		out.Communities = append(out.Communities, frrCommunity(c))
	}
	slices.Sort(out.Communities)
	if m := frrBandwidth.FindStringSubmatch(p.ExtendedCommunities.Text); m != nil {
		bytes, err := strconv.ParseFloat(m[1], 32)
		if err != nil {
			return out, fmt.Errorf("link bandwidth: %w", err)
		}
		out.LinkBandwidth = float32(bytes)
	}
	return out, nil
}

var frrBandwidth = regexp.MustCompile(`LB:\d+:(\d+) `)

// frrCommunity returns the numbers of a well-known community.
func frrCommunity(c string) string {
	if numbers, ok := frrWellKnown[c]; ok {
		return numbers
	}
	return c
}

// frrWellKnown are the names that FRR has for communities of the IANA registry.
var frrWellKnown = map[string]string{
	"gracefulShutdown": GracefulShutdown,
	"acceptOwn":        "65535:1",
	"llgrStale":        "65535:6",
	"noLlgr":           "65535:7",
	"blackhole":        "65535:666",
	"noExport":         "65535:65281",
	"noAdvertise":      "65535:65282",
	"localAs":          "65535:65283",
	"noPeer":           "65535:65284",
}
