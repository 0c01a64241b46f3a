package router

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ParseFRRBFD reads what vtysh prints for `show bfd peers json`, and returns the neighbours whose sessions are up, sorted.
func ParseFRRBFD(text []byte) (up []netip.Addr, err error) {
	var peers []struct {
		Peer   netip.Addr `json:"peer"`
		Status string     `json:"status"`
	}
	if err := json.Unmarshal(text, &peers); err != nil {
		return nil, fmt.Errorf("read FRR's BFD sessions: %w", err)
	}
	for _, p := range peers {
		if p.Status == "up" {
			up = append(up, p.Peer)
		}
	}
	slices.SortFunc(up, netip.Addr.Compare)
	return up, nil
}

// ParseBIRDBFD reads what birdc prints for `show bfd sessions`, and returns the neighbours whose sessions are up, sorted.
func ParseBIRDBFD(text string) (up []netip.Addr, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "Up" {
			continue
		}
		peer, err := netip.ParseAddr(fields[0])
		if err != nil {
			return nil, fmt.Errorf("read BIRD's BFD sessions: %w", err)
		}
		up = append(up, peer)
	}
	slices.SortFunc(up, netip.Addr.Compare)
	return up, nil
}
