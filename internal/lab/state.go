//go:build linux

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// state is what another process needs to find a lab that runs.
type state struct {
	Creator   process   `json:"creator"`
	Anchor    process   `json:"anchor"`
	Detached  bool      `json:"detached"`
	Nodes     int       `json:"nodes"`
	ProxyMode ProxyMode `json:"proxyMode"`
	Binaries  string    `json:"binaries"`
	Link      linkPair  `json:"link"`
}

// ErrNotRunning is returned by Attach when there is no such lab.
var ErrNotRunning = errors.New("not running")

func readState(p paths) (state, error) {
	var s state
	data, err := os.ReadFile(p.state())
	if errors.Is(err, os.ErrNotExist) {
		return s, ErrNotRunning
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("parse %s: %w", p.state(), err)
	}
	return s, nil
}

func (s state) write(p paths) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.state()+".new", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(p.state()+".new", p.state())
}
