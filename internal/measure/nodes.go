//go:build linux

package measure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

// MACs returns the hosts by the MAC addresses of their interfaces.
func MACs(l *lab.Lab) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range l.Hosts() {
		err := l.Host(name).Do(func() error {
			all, err := net.Interfaces()
			for _, i := range all {
				if len(i.HardwareAddr) > 0 {
					out[i.HardwareAddr.String()] = name
				}
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list interfaces of %s: %w", name, err)
		}
	}
	return out, nil
}

// SpeakerOn returns the process of the speaker on a node.
func SpeakerOn(h *lab.Host) (pid int, err error) {
	pids, err := Processes(Speaker)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		if h.Has(pid) {
			return pid, nil
		}
	}
	return 0, errors.New("no speaker runs on " + h.Name)
}

// Carried returns how many TCP connections to an address a node carries, as its kernel tracks them.
func Carried(ctx context.Context, node *lab.Host, address netip.Addr) (int, error) {
	out, err := node.Command(ctx, "conntrack", "-L", "-p", "tcp", "-d", address.String(), "--state", "ESTABLISHED").Output()
	return strings.Count(string(out), "dst="+address.String()+" "), err
}
